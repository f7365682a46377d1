import time, pprint
from tests.tasks.harness import *
from tests.tasks.gateways.aws_world import an_event
def test_probe(open_house):
    for i in range(3):
        t=time.time()
        house = open_house()
        house.furnish(an_event(in_group=True))
        before = described(house)
        t1=time.time()
        run = house.start()
        v = run.to_the_end()
        t2=time.time()
        assert described(house) == before
        print([x.kind for x in v.values()], effects(house))
        print(len(house.sessions.shaky.calls), len(house.sessions.shaky.commits), t1-t, t2-t1)
        print(house.mutating_calls())
    pprint.pprint(house.sessions.shaky.calls)
    pprint.pprint(house.sessions.shaky.commits)
    assert 0
