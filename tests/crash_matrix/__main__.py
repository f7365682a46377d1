import sys, tempfile, time
from pathlib import Path
from tests.crash_matrix.world import World
from tests.crash_matrix.driver import deliver, turns, play
from tests.crash_matrix.stories import STORIES
from collections import Counter
folder = Path(tempfile.mkdtemp())
w = World(folder, STORIES[sys.argv[1]])
deliver(w)
w.serve()
total=0
w.cloud.watches=True
for t in turns(w):
    s=time.time()
    ev=play(w,t)
    total+=len(ev)
    print(t, len(ev), round(time.time()-s,2), {r.id[:4]:r.status for r in w.prefect.runs.values()}, w.moment.now())
    if len(sys.argv)>2: print('   ', Counter((e.name,e.kind, e.moved) for e in ev))
print(total, w.line.done)
l=w.ledger(); print([ (r.status,r.result) for r in l.responses()])
print(folder)
