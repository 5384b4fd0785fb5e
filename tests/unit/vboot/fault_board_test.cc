// Faults in force: whom they strike, for how long, and that nothing of them stays.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/test/unit_test.hpp>

#include "tests/unit/vboot/fault_bench.h"

using namespace rookery;
using namespace rookery::vboot;
using namespace rookery::vboot::fault_bench;

BOOST_AUTO_TEST_SUITE(fault_board_suite)

BOOST_AUTO_TEST_CASE(strikes_what_is_named_in_the_direction_that_is_named) {
  Lab lab;
  BOOST_TEST(lab.talk() == kAll);
  lab.set("n1 loss=100% direction=up");
  BOOST_TEST(lab.talk() == "0:2 1:02 2:0");
  lab.set("n2 loss=100% direction=down");
  BOOST_TEST(lab.talk() == "0:2 1:02 2:");
  BOOST_TEST(lab.told.hits.starts_with("n1:up n1:up n2:down "));
  BOOST_TEST(lab.board->clear("n1").value() == 1U);
  BOOST_TEST(lab.talk() == "0:12 1:02 2:");
  BOOST_TEST(lab.board->clear("all").value() == 1U);
  BOOST_TEST(lab.talk() == kAll);
  BOOST_TEST(lab.told.said == "+n1.up.loss +n2.down.loss -n1.up.loss:cleared -n2.down.loss:cleared ");
}

BOOST_AUTO_TEST_CASE(leaves_alone_what_it_does_not_name) {
  const auto losses = [](bool with_others) {
    Lab lab;
    lab.set("n1 loss=50% direction=up");
    for (int i = 0; i < 200; ++i) {
      if (with_others && i == 50) lab.set("n1 delay=1us");
      if (with_others && i == 90) lab.set("n2 loss=30%");
      if (with_others && i == 120) BOOST_TEST(lab.board->clear("n1.delay").value() == 1U);
      lab.say(1);
      lab.run(milliseconds(1));
    }
    BOOST_TEST(lab.frames("n1.up.loss").ends_with("/200"));
    return lab.machines[0].heard.size();
  };
  const std::size_t alone = losses(false);
  BOOST_TEST(alone > 70U);
  BOOST_TEST(alone < 130U);
  BOOST_TEST(losses(true) == alone);
}

BOOST_AUTO_TEST_CASE(draws_by_the_seed_the_cable_and_the_name_and_never_the_same_twice) {
  const auto decisions = [](std::uint64_t seed, std::string_view line, int times) {
    Lab lab(seed);
    std::string last;
    for (int n = 0; n < times; ++n) {
      lab.set(line);
      lab.machines[0].heard.clear();
      last.clear();
      for (int i = 0; i < 64; ++i) {
        const std::size_t before = lab.machines[0].heard.size();
        lab.say(1);
        lab.run(milliseconds(1));
        last += lab.machines[0].heard.size() > before ? '.' : 'x';
      }
    }
    return last;
  };
  const std::string first = decisions(1, "n1 loss=50%", 1);
  BOOST_TEST(decisions(1, "n1 loss=50%", 1) == first);
  BOOST_TEST(decisions(2, "n1 loss=50%", 1) != first);
  BOOST_TEST(decisions(1, "n1 loss=50% name=other", 1) != first);
  BOOST_TEST(decisions(1, "n1 loss=50%", 2) != first);
}

BOOST_AUTO_TEST_CASE(ends_a_fault_after_its_time_and_after_its_count) {
  Lab lab;
  lab.set("n1 loss=100% for=5ms");
  lab.set("n2 loss=100% direction=up skip=1 count=2");
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.run(milliseconds(10));
  BOOST_TEST(lab.told.said.find("-n1.loss:time") != std::string::npos);
  lab.talk();
  lab.talk();
  BOOST_TEST(lab.told.said.find(":count") != std::string::npos);
  BOOST_TEST(lab.talk() == kAll);
  BOOST_TEST(lab.board->in_force().empty());
}

BOOST_AUTO_TEST_CASE(takes_lists_and_patterns) {
  Lab lab;
  lab.set("n* loss=100% direction=down");
  BOOST_TEST(lab.talk() == "0:12 1: 2:");
  lab.board->clear("n*").value();
  lab.set("server,n2 loss=100% direction=down");
  BOOST_TEST(lab.talk() == "0: 1:02 2:");
}

BOOST_AUTO_TEST_CASE(parts_the_network_in_groups_and_one_way) {
  Lab lab;
  lab.set("partition=server,n1/n2");
  BOOST_TEST(lab.talk() == "0:1 1:0 2:");
  BOOST_TEST(lab.board->in_force().at(0).frames.hit == 4U);
  lab.set("cut=n1 to=server for=2ms");
  BOOST_TEST(lab.talk() == "0: 1:0 2:");
  lab.run(milliseconds(5));
  lab.board->clear("partition.*").value();
  BOOST_TEST(lab.talk() == kAll);
}

BOOST_AUTO_TEST_CASE(pulls_a_cable_as_often_as_it_was_pulled) {
  Lab lab;
  lab.set("n1 down");
  lab.set("n1 down name=again for=5ms");
  BOOST_TEST(!lab.machines[1].port->is_up());
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.board->clear("n1.down").value();
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.run(milliseconds(5));
  BOOST_TEST(lab.talk() == kAll);
  lab.set("n1 down direction=up");
  BOOST_TEST(lab.machines[1].port->is_up());
  BOOST_TEST(lab.talk() == "0:2 1:02 2:0");
}

BOOST_AUTO_TEST_CASE(flaps) {
  Lab lab;
  lab.set("n1 flap=20ms up=25%");
  std::string seen;
  for (int i = 0; i < 40; ++i) {
    seen += lab.machines[1].port->is_up() ? 'u' : 'd';
    lab.run(milliseconds(1));
  }
  BOOST_TEST(seen.starts_with("ddddddddddddddd"));
  BOOST_TEST(std::count(seen.begin(), seen.end(), 'u') == 10);
  lab.board->clear("n1").value();
  BOOST_TEST(lab.machines[1].port->is_up());
}

BOOST_AUTO_TEST_CASE(restarts_a_switch_with_all_its_cables) {
  Lab lab;
  lab.talk();
  BOOST_TEST(lab.network.table().size() == 3U);
  lab.set("core restart=10ms");
  BOOST_TEST(lab.network.table().size() == 0U);
  BOOST_TEST(lab.talk() == "0: 1: 2:");
  lab.run(milliseconds(10));
  BOOST_TEST(lab.talk() == kAll);
}

BOOST_AUTO_TEST_CASE(blocks_a_port_from_when_its_link_comes_up_silently_or_not) {
  Lab lab;
  lab.set("n1 blocking=5ms");
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.run(milliseconds(5));
  BOOST_TEST(lab.talk() == kAll);
  lab.board->machine_came_up(1);
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.run(milliseconds(5));
  lab.set("n1 down for=5ms");
  lab.run(milliseconds(6));
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.board->clear("all").value();
  BOOST_TEST(lab.talk() == kAll);

  lab.machines[2].heard.clear();
  lab.set("n2 blocking=5s bpdus=visible");
  lab.run(std::chrono::seconds(6));
  BOOST_REQUIRE(lab.machines[2].heard.size() == 4U);  // at 0, 2 and 4 s, and when it forwards
  const auto flags = [&](std::size_t i) { return lab.machines[2].heard[i].bytes()[21]; };
  BOOST_TEST((lab.machines[2].heard[0].destination().text() == "01:80:c2:00:00:00"));
  BOOST_TEST(flags(2) == 0x0c);  // designated, discarding
  BOOST_TEST(flags(3) == 0x3c);  // learning and forwarding besides
}

BOOST_AUTO_TEST_CASE(limits_a_queue_and_gives_back_the_cables_own) {
  Lab lab;
  const Bytes own = lab.machines[1].up_link.rules().queue;
  lab.set("n1 queue=10KiB direction=up");
  BOOST_TEST((lab.machines[1].up_link.rules().queue == Bytes{10'240}));
  BOOST_TEST((lab.machines[1].down_link.rules().queue == own));
  lab.board->clear("n1").value();
  BOOST_TEST((lab.machines[1].up_link.rules().queue == own));
}

BOOST_AUTO_TEST_CASE(does_to_machines_what_it_is_told_and_undoes_it) {
  Lab lab;
  lab.set("server power-cut for=30s");
  lab.set("n1 power-cut");
  lab.set("n1,n2 freeze for=3s");
  lab.set("n2 slow=10ms");
  lab.set("n2 clock-step=-2s");
  lab.set("n1 thaw");
  BOOST_TEST(lab.deeds.said ==
             "cut server; cut n1; freeze n1; freeze n2; slow 10000000 n2; step -2000000000 n2; thaw n1; ");
  lab.deeds.said.clear();
  lab.run(std::chrono::seconds(4));
  BOOST_TEST(lab.deeds.said == "thaw n2; ");
  lab.board->clear("n2").value();
  lab.board->clear("server").value();
  BOOST_TEST(lab.deeds.said == "thaw n2; slow 0 n2; on server; ");
}

BOOST_AUTO_TEST_CASE(says_when_what_it_freezes_stands_still) {
  Lab lab;
  int settled = 0;
  const auto set = [&](std::string_view line) {
    return lab.board->set(parse_fault(line).value(), [&] { ++settled; }).has_value();
  };
  BOOST_TEST(set("n1 down"));
  BOOST_TEST(settled == 1);
  BOOST_TEST(set("n1,n2 freeze"));
  BOOST_REQUIRE(lab.deeds.freezing.size() == 2u);
  lab.deeds.freezing[1]();
  BOOST_TEST(settled == 1);
  lab.deeds.freezing[0]();
  BOOST_TEST(settled == 2);
  lab.deeds.refuses = "n2";
  BOOST_TEST(!set("n1,n2 freeze"));
  lab.deeds.freezing[2]();
  BOOST_TEST(settled == 2);
}

// One that cannot thaw all changes nothing: what was frozen stands still again, and is the first one's still.
// Of each family one that cannot be, in place of one of each that is.
BOOST_AUTO_TEST_CASE(says_what_is_in_a_machines_way) {
  Lab lab;
  const auto of = [&](std::size_t machine) {
    const auto ways = lab.board->in_the_way();
    return ways.empty() ? "nothing in force" : fmt::format("{}", fmt::join(ways.at(machine), ", "));
  };
  BOOST_TEST(of(0) == "nothing in force");
  lab.set("n1 freeze");
  lab.set("n1,n2 down for=5ms");
  lab.set("n2 down name=again");
  lab.set("n2 loss=1%");
  lab.set("server blocking=1ms");
  BOOST_TEST(of(0) == "port blocked");
  BOOST_TEST(of(1) == "cable out, frozen");
  BOOST_TEST(of(2) == "cable out, loss");
  lab.run(milliseconds(6));
  BOOST_TEST(of(0) == "");  // it is in force, and blocks nothing now
  BOOST_TEST(of(1) == "frozen");
  BOOST_TEST(of(2) == "cable out, loss");
  lab.set("n1 thaw");
  lab.run(milliseconds(1));
  BOOST_TEST(of(1) == "");
}

BOOST_AUTO_TEST_CASE(names_what_there_is_not_and_changes_nothing) {
  Lab lab;
  lab.set("n1 loss=1%");
  BOOST_TEST(lab.refusal("n3 loss=100%") ==
             "fault: no machine or trunk 'n3' in this lab; did you mean 'n1'?");
  BOOST_TEST(lab.refusal("edge restart=1s") == "fault: no switch 'edge' in this lab");
  BOOST_TEST(lab.refusal("partition=n1/n*") == "fault: 'n1' is on both sides");
  BOOST_TEST(lab.refusal("n1 loss=50% match='udp prot 3'").starts_with("fault: match: 'prot' is neither"));
  BOOST_TEST(lab.frames("n1.loss") == "0/0");
  BOOST_TEST(lab.board->clear("n2").error().message.starts_with("no fault is called 'n2'"));
  BOOST_TEST(lab.board->clear("all").value() == 1U);
  BOOST_TEST(lab.board->clear("all").value() == 0U);
}

BOOST_AUTO_TEST_CASE(has_a_limit) {
  Lab lab;
  for (std::size_t i = 0; i < FaultBoard::kFaultsMost; ++i) lab.set(fmt::format("n1 loss=1% name=f{}", i));
  BOOST_TEST(lab.refusal("n1 loss=1%").find("no more can be") != std::string::npos);
  lab.set("n1 loss=2% name=f7");
}

BOOST_AUTO_TEST_SUITE_END()
