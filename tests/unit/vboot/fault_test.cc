#include "vboot/faults/fault.h"

#include <boost/test/unit_test.hpp>
#include <set>

#include "vboot/faults/kind.h"

using namespace rookery;
using namespace rookery::vboot;

namespace {

FaultSpec fault(std::string_view line) {
  const auto parsed = parse_fault(line);
  BOOST_REQUIRE_MESSAGE(parsed, parsed.error().message);
  return *parsed;
}
std::string refusal(std::string_view line) {
  const auto parsed = parse_fault(line);
  BOOST_REQUIRE_MESSAGE(!parsed, line);
  BOOST_TEST((parsed.error().kind == ErrorKind::usage));
  return parsed.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fault_suite)

BOOST_AUTO_TEST_CASE(reads_place_effect_and_limits) {
  const FaultSpec read = fault("n5 loss=10% direction=down match='udp port 69' skip=2 count=1 for=5s");
  BOOST_TEST(std::holds_alternative<netsim::Loss>(read.effect));
  BOOST_TEST((read.on == std::vector<std::string>{"n5"}));
  BOOST_TEST((read.direction == FaultDirection::down));
  BOOST_TEST(read.match == "udp port 69");
  BOOST_TEST(read.limits.skip == 2U);
  BOOST_TEST(read.limits.count.value() == 1U);
  BOOST_TEST(read.limits.chance == 0.1);
  BOOST_TEST((read.time == Duration(std::chrono::seconds(5))));
}

BOOST_AUTO_TEST_CASE(says_again_what_it_read) {
  for (const char* line : {"n5 loss=10%",
                           "n1,n2,east:core loss=0.1% direction=up",
                           "n* burst=1% recover=20% outside=0.5% inside=90%",
                           "n5 delay=20ms chance=30%",
                           "n5 jitter=5ms distribution=pareto",
                           "n5 jitter=5ms",
                           "n5 rate=1Mbit/s queue=100KiB",
                           "n5 queue=100KiB",
                           "n5 duplicate=1%",
                           "n5 reorder=5% by=2ms",
                           "n5 corrupt=1% checksum=valid",
                           "n5 corrupt=100%",
                           "east down for=2s",
                           "n5 flap=10s up=80%",
                           "n5 blocking=25s bpdus=visible",
                           "n5 blocking=30s",
                           "partition=server,n1/n2,n3 for=1min",
                           "cut=n5 to=server",
                           "core restart=2s",
                           "server power-cut for=30s",
                           "n5 reset",
                           "n5 freeze for=3s",
                           "n5 thaw",
                           "n5 slow=10ms",
                           "n5 clock-step=-2s",
                           "n5 clock-step=500ms",
                           "n5 loss=100% match='udp port 69' skip=2 count=1"}) {
    const FaultSpec first = fault(line);
    BOOST_TEST(to_text(first) == std::string(line) + " name=" + first.name);
    BOOST_TEST((fault(to_text(first)) == first), line);
    BOOST_TEST((*parse_fault(to_words(first)) == first), line);
  }
}

BOOST_AUTO_TEST_CASE(is_an_object_of_the_same_words) {
  BOOST_TEST(to_json(fault("n5 loss=10% direction=down")).dump() ==
             R"({"name":"n5.down.loss","on":"n5","loss":"10%","direction":"down"})");
  BOOST_TEST(to_text(fault("on=reset loss=1%")) ==
             "on=reset loss=1% name=reset.loss");  // a machine of that name
  BOOST_TEST(to_json(fault("core down")).dump() == R"({"name":"core.down","on":"core","down":true})");
  const std::vector<std::string> of_a_map{"on=n5", "loss=10%", "match=udp port 69"};
  BOOST_TEST((parse_fault(of_a_map)->match == "udp port 69"));
}

BOOST_AUTO_TEST_CASE(makes_one_name_for_the_same_fault_with_other_values) {
  BOOST_TEST(fault("n5 loss=10%").name == "n5.loss");
  BOOST_TEST(fault("n5 loss=20% for=3s").name == "n5.loss");
  BOOST_TEST(fault("n5 loss=10% direction=up").name == "n5.up.loss");
  BOOST_TEST(fault("n5 loss=10% match=arp").name != "n5.loss");
  BOOST_TEST(fault("n5 loss=10% match=arp").name == fault("n5 loss=70% match=arp").name);
  BOOST_TEST(fault("partition=a/b").name == fault("partition=a/b for=2s").name);
  BOOST_TEST(fault("partition=a/b").name != fault("partition=a/c").name);
  BOOST_TEST(fault("n5 loss=10% name=mine").name == "mine");
}

BOOST_AUTO_TEST_CASE(names_the_wrong_word_and_the_fix) {
  const auto says = [](std::string_view line, std::string_view words) {
    BOOST_TEST(refusal(line).find(words) != std::string::npos, line << " → " << refusal(line));
  };
  says("n5 los=10%", "unknown word 'los'; did you mean 'loss'?");
  says("n5", "a fault needs one of: loss, burst");
  says("", "a fault needs one of");
  says("loss=10%", "where? Name a machine, a switch or a trunk, as in 'n5 loss=10%'");
  says("n5 loss=10", "loss: expected a share like 10%, found '10'");
  says("n5 loss=101%", "loss: expected a share");
  says("n5 loss=nan%", "loss: expected a share");
  says("n5 loss", "loss: expected a share");
  says("n5 loss=10% delay=2ms", "'loss' and 'delay' are two faults");
  says("n5 loss=1% loss=2%", "'loss' is said twice");
  says("n5 delay=20", "the unit is missing");
  says("n5 delay=0ms", "delay: expected a time like 20ms");
  says("n5 rate=10", "the unit is missing");
  says("n5 rate=0bit/s", "say 'down'");
  says("n5 burst=1%", "burst needs recover=");
  says("cut=n5", "cut needs to=");
  says("partition=n5", "groups with '/' between them");
  says("n5 partition=a/b", "names its machines itself; leave 'n5' away");
  says("n5 down=yes", "'down' takes no value, found 'yes'");
  says("n5 down count=3", "'count' makes no sense with 'down'");
  says("n5 reset for=3s", "'for' makes no sense with 'reset'");
  says("n5 loss=1% direction=left", "direction: expected both or up or down, found 'left'");
  says("n5 loss=1% count=0", "count: expected a number from 1 on");
  says("n5 loss=1% for=", "'for=' has no value");
  says("N5 loss=1%", "expected a name like n5, or a pattern like n*, found 'N5'");
  says("n5 loss=1% match='udp", "a quote ' that is not closed");
}

BOOST_AUTO_TEST_CASE(tells_all_words_in_their_order_where_none_is_near) {
  BOOST_TEST(
      refusal("n5 frobnicate=1") ==
      "fault: unknown word 'frobnicate'; words are: loss, burst, delay, jitter, rate, duplicate, reorder, "
      "corrupt, down, flap, queue, blocking, partition, cut, restart, power-cut, reset, freeze, thaw, slow, "
      "clock-step, name, on, direction, match, skip, count, chance, for, recover, outside, inside, "
      "distribution, by, checksum, up, to, bpdus");
}

BOOST_AUTO_TEST_CASE(answers_words_of_netem_with_its_own) {
  const std::string intro = "fault: a value stands behind '=', and a fault has one effect; say ";
  const auto says = [&](std::string_view line, const std::string& answer) {
    BOOST_TEST(refusal(line) == intro + answer, line << " → " << refusal(line));
  };
  says("n1 delay 100ms", "'n1 delay=100ms'");
  says("n1 delay 100ms 10%", "'n1 delay=100ms'");
  says("n1 delay 100ms 20ms distribution normal",
       "'n1 delay=80ms', then 'n1 jitter=20ms distribution=normal'");
  says("n1 delay=100ms 20ms", "'n1 delay=80ms', then 'n1 jitter=20ms'");
  says("n1 delay 20ms 20ms 25% direction up", "'n1 jitter=20ms direction=up'");
  says("n1 loss 0.3% 25%", "'n1 loss=0.3%'");
  says("n1 loss 5", "'n1 loss=5%'");
  says("n1 loss=random 5%", "'n1 loss=5%'");
  says("n1 loss gemodel 1% 10% 70% 0.1%", "'n1 burst=1% recover=10% inside=70% outside=0.1%'");
  says("n1 reorder 25% 50% gap 5", "'n1 reorder=25%'");
  says("n1 corrupt 0.1% match 'udp port 69'", "'n1 corrupt=0.1% match='udp port 69''");
  says("n1 duplicate 1% loss 2%", "'n1 duplicate=1%', then 'n1 loss=2%'");
  says("n1 rate 10mbit", "'n1 rate=10Mbit/s'");
  says("n1 rate 10mbit burst 32kbit latency 400ms", "'n1 rate=10Mbit/s'");
  const auto adds = [&](std::string_view line, std::string_view answer) {
    BOOST_TEST(refusal(line).ends_with(answer), line << " → " << refusal(line));
  };
  adds("n1 latency=100ms", "unknown word 'latency'; did you mean 'delay'?; say 'n1 delay=100ms'");
  adds("n1 corruption=0.1%", "say 'n1 corrupt=0.1%'");
  adds("n1 delay=100ms jitter=20ms distribution=normal",
       "two faults; set them one after the other; say 'n1 delay=100ms', then 'n1 jitter=20ms "
       "distribution=normal'");
  adds("n1 loss=0.3", "found '0.3'; did you mean '0.3%'?; say 'n1 loss=0.3%'");
  adds("n1 rate=10mbit", "say 'n1 rate=10Mbit/s'");
  adds("n1 rate=10Mbit/s burst=32kbit latency=400ms", "say 'n1 rate=10Mbit/s'");
  // What cannot be meant has no answer of that kind.
  for (const char* line : {"n1 delay 100parsecs", "n1 delay", "n1 delay 1ms frobnicate 3", "delay 100ms"})
    BOOST_TEST(refusal(line).find("say '") == std::string::npos, refusal(line));
  BOOST_TEST(fault("n1 loss=.3%").limits.chance == 0.003);
}

BOOST_AUTO_TEST_CASE(has_one_kind_for_each_effect_and_one_word_for_each_kind) {
  std::set<std::string_view> words;
  const auto kinds = fault_kinds();
  BOOST_TEST(kinds.size() == std::variant_size_v<FaultEffect>);
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    BOOST_TEST(kinds[i]->effect == i);
    BOOST_TEST(words.insert(kinds[i]->word).second, kinds[i]->word);
  }
  for (const std::string_view word : further_words()) BOOST_TEST(words.insert(word).second, word);
}

BOOST_AUTO_TEST_CASE(knows_what_it_keeps_a_machine_from) {
  BOOST_TEST(hinders(fault("n1,n2 down"), Hinders::link, "n2"));
  BOOST_TEST(hinders(fault("n* flap=1s"), Hinders::link, "n2"));
  BOOST_TEST(!hinders(fault("n1 down"), Hinders::link, "n2"));
  BOOST_TEST(!hinders(fault("n1 loss=100%"), Hinders::link, "n1"));
  BOOST_TEST(hinders(fault("n1 blocking=1s"), Hinders::port, "n1"));
  BOOST_TEST(hinders(fault("core restart=1s"), Hinders::switches));
  BOOST_TEST(hinders(fault("n1 power-cut"), Hinders::power, "n1"));
  BOOST_TEST(hinders(fault("n1 freeze"), Hinders::processor, "n1"));
  BOOST_TEST(!hinders(fault("n1 thaw"), Hinders::processor, "n1"));
  BOOST_TEST(separates(fault("partition=n1,n2/server"), "n2", "server"));
  BOOST_TEST(!separates(fault("partition=n1,n2/server"), "n2", "n1"));
  BOOST_TEST(!separates(fault("partition=n1,n2/server"), "n3", "server"));
  BOOST_TEST(separates(fault("cut=n1 to=server"), "n1", "server"));
  BOOST_TEST(separates(fault("cut=n1 to=server"), "server", "n1"));
  BOOST_TEST(!separates(fault("cut=n1 to=server"), "n2", "server"));
  BOOST_TEST(!separates(fault("n1 down"), "n1", "server"));
}

BOOST_AUTO_TEST_CASE(fits_patterns) {
  BOOST_TEST(fits("n*", "n12"));
  BOOST_TEST(fits("n1?", "n12"));
  BOOST_TEST(!fits("n1?", "n1"));
  BOOST_TEST(fits("*:core", "east:core"));
  BOOST_TEST(fits("*a*b", "xaxxb"));
  BOOST_TEST(!fits("n", "n1"));
  BOOST_TEST(!fits("", "n1"));
}

BOOST_AUTO_TEST_SUITE_END()
