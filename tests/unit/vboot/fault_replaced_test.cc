// A fault that cannot be, or that another one replaces: what was in force stays as it was, or goes alone.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/test/unit_test.hpp>

#include "tests/unit/vboot/fault_bench.h"

using namespace rookery;
using namespace rookery::vboot;
using namespace rookery::vboot::fault_bench;

BOOST_AUTO_TEST_SUITE(fault_replaced)

BOOST_AUTO_TEST_CASE(undoes_what_is_not_possible_on_all) {
  Lab lab;
  lab.deeds.refuses = "n2";
  BOOST_TEST(lab.refusal("n* freeze") == "this machine cannot");
  BOOST_TEST(lab.deeds.said == "freeze n1; thaw n1; ");
  BOOST_TEST(lab.board->in_force().empty());
}

BOOST_AUTO_TEST_CASE(a_fault_that_cannot_be_leaves_the_one_of_its_name_in_force) {
  Lab lab;
  lab.set("n1 loss=100% direction=up name=x");
  BOOST_TEST(lab.talk() == "0:2 1:02 2:0");
  lab.deeds.refuses = "n2";
  BOOST_TEST(lab.refusal("n1,n2 freeze name=x") == "this machine cannot");
  BOOST_TEST(lab.deeds.said == "freeze n1; thaw n1; ");
  BOOST_TEST(lab.told.said == "+x ");
  BOOST_TEST(lab.frames("x") == "1/1");  // nor do its counters begin anew
  BOOST_TEST(lab.talk() == "0:2 1:02 2:0");

  // Of the same kind: what the old one does to a machine is not undone with the new one.
  lab.deeds.said.clear();
  lab.set("n1 freeze name=y for=5s");
  lab.set("n1 slow=10ms name=z");
  BOOST_TEST(lab.refusal("n1,n2 freeze name=y") == "this machine cannot");
  BOOST_TEST(lab.refusal("n1,n2 slow=50ms name=z") == "this machine cannot");
  BOOST_TEST(lab.deeds.said ==
             "freeze n1; slow 10000000 n1; freeze n1; slow 50000000 n1; slow 10000000 n1; ");
  lab.deeds.said.clear();
  lab.run(std::chrono::seconds(6));
  BOOST_TEST(lab.deeds.said == "thaw n1; ");  // the first one's time

  // One that can be replaces it, and what both do goes on.
  lab.deeds.said.clear();
  lab.set("n1,server slow=20ms name=z");
  BOOST_TEST(lab.deeds.said == "slow 20000000 n1; slow 20000000 server; slow 20000000 n1; ");
  lab.set("server slow=20ms name=z");
  BOOST_TEST(lab.deeds.said.ends_with("slow 20000000 server; slow 0 n1; slow 20000000 server; "));
  BOOST_TEST(lab.told.said.ends_with("-z:replaced +z "));
}

BOOST_AUTO_TEST_CASE(a_thaw_that_cannot_be_leaves_frozen_what_was) {
  Lab lab;
  lab.set("n1 freeze for=5s");
  lab.deeds.refuses = "n2";
  lab.deeds.said.clear();
  BOOST_TEST(lab.refusal("server,n1,n2 thaw") == "this machine cannot");
  BOOST_TEST(lab.deeds.said == "thaw server; thaw n1; freeze n1; ");
  BOOST_TEST(lab.told.said == "+n1.freeze +server,n1,n2.thaw -server,n1,n2.thaw:not possible ");
  lab.run(std::chrono::seconds(6));
  BOOST_TEST(lab.deeds.said.ends_with("freeze n1; thaw n1; "));
  BOOST_TEST(lab.told.said.ends_with("-n1.freeze:time "));
}

BOOST_AUTO_TEST_CASE(a_fault_of_any_family_that_cannot_be_leaves_one_of_any_in_force) {
  struct Old {
    const char* words;
    std::string_view way;    // what it is to n1
    std::string_view heard;  // who hears whom meanwhile
  };
  const std::vector<Old> olds{{"n1 loss=100% for=1s", "loss", "0:2 1: 2:0"},
                              {"n1 down for=1s", "cable out", "0:2 1: 2:0"},
                              {"n1 queue=10KiB for=1s", "queue", kAll},
                              {"n1 blocking=1s for=1s", "port blocked", "0:2 1: 2:0"},
                              {"core restart=1s", "switch restarts", "0: 1: 2:"},
                              {"partition=n1/n2,server for=1s", "cut off from some", "0:2 1: 2:0"},
                              {"cut=n1 to=n2 for=1s", "cut off from some", "0:12 1:02 2:0"},
                              {"n1 power-cut for=1s", "plug pulled", kAll},
                              {"n1 freeze for=1s", "frozen", kAll},
                              {"n1 slow=1ms for=1s", "slowed", kAll}};
  struct Impossible {
    const char* words;
    const char* why;
  };
  const std::vector<Impossible> impossibles{
      {"n9 loss=1%", "fault: no machine or trunk 'n9' in this lab; did you mean 'n1'?"},
      {"n1 loss=1% match='udp prot 3'", "fault: match: 'prot' is neither"},
      {"n1,n9 down", "fault: no machine or trunk 'n9' in this lab"},
      {"n9 flap=10ms", "fault: no machine or trunk 'n9' in this lab"},
      {"server queue=10KiB", "fault: the cable 'server' has no rate"},
      {"n9 blocking=1s", "fault: no machine or trunk 'n9' in this lab"},
      {"edge restart=1s", "fault: no switch 'edge' in this lab"},
      {"partition=n1/n*", "fault: 'n1' is on both sides"},
      {"cut=n1 to=n1,n2", "fault: 'n1' is on both sides"},
      {"n1,n2 power-cut for=1s", "this machine cannot"},
      {"n1,n2 reset", "this machine cannot"},
      {"n1,n2 freeze", "this machine cannot"},
      {"n1,n2 thaw", "this machine cannot"},
      {"n1,n2 slow=5ms", "this machine cannot"},
      {"n1,n2 clock-step=2s", "this machine cannot"}};
  for (const Old& old : olds) {
    Lab lab(1, true);
    lab.set(fmt::format("{} name=x", old.words));
    lab.deeds.refuses = "n2";
    const FaultState before = lab.board->in_force().at(0);
    BOOST_TEST(lab.talk() == old.heard);
    const std::string frames = lab.frames("x");
    for (const Impossible& one : impossibles) {
      BOOST_TEST_CONTEXT(one.words << " in place of " << old.words) {
        BOOST_TEST(lab.refusal(fmt::format("{} name=x", one.words)).starts_with(one.why));
        const auto after = lab.board->in_force();
        BOOST_REQUIRE(after.size() == 1u);
        BOOST_TEST(after[0].spec == before.spec);  // the same fault, not another one of the same words
        BOOST_TEST((after[0].began == before.began));
        BOOST_TEST(lab.frames("x") == frames);
        BOOST_TEST(fmt::format("{}", fmt::join(lab.board->in_the_way().at(1), ",")) == old.way);
      }
    }
    BOOST_TEST(lab.told.said == "+x ");
    BOOST_TEST(lab.talk() == old.heard);
    lab.run(std::chrono::seconds(1));
    BOOST_TEST(lab.told.said == "+x -x:time ");
    BOOST_TEST(lab.talk() == kAll);
  }
}

BOOST_AUTO_TEST_CASE(the_end_of_one_fault_does_not_end_what_another_does_to_the_machine) {
  Lab lab;
  lab.set("n1 freeze name=a");
  lab.set("n1,n2 freeze name=b");
  lab.set("n1 slow=10ms name=c");
  lab.set("n1 slow=20ms name=d");
  lab.deeds.said.clear();
  lab.board->clear("b").value();
  BOOST_TEST(lab.deeds.said == "thaw n2; ");
  lab.board->clear("d").value();
  BOOST_TEST(lab.deeds.said == "thaw n2; slow 10000000 n1; ");
  lab.board->clear("all").value();
  BOOST_TEST(lab.deeds.said == "thaw n2; slow 10000000 n1; thaw n1; slow 0 n1; ");
}

BOOST_AUTO_TEST_SUITE_END()
