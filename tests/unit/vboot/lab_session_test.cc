// A lab as a library, with machines that follow a script: what stands, from when, and what is left.
#include "vboot/run/session/lab_session.h"

#include "tests/support/fake_lab.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;
using S = std::chrono::seconds;

LabPlan two_clients() {
  return plan_lab(parse_lab(std::string("lab: test\nmachines:\n") + kTwo, "test.yaml").value(), {}).value();
}

// Where labs have their places, and what a session says of itself.
struct Host : SessionEvents {
  TemporaryFolder folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-session-").value();
  std::unique_ptr<LabSession> session;
  std::vector<std::string> told;

  Host() {
    for (const fs::path& path : {runtime(), files()}) fs::create_directories(path);
  }
  fs::path runtime() const { return folder.path() / "run"; }
  fs::path files() const { return folder.path() / "shm"; }
  SessionSetup setup() const {
    SessionSetup setup = fake_session(two_clients(), folder.path(), {});
    setup.place.runtime = runtime();
    setup.place.files = files();
    return setup;
  }
  void open() {
    session = open_session(setup(), *this);
    BOOST_REQUIRE(session->make_lab().has_value());
  }
  // The folders of labs and of their memory that stand.
  std::size_t places() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(runtime()), fs::directory_iterator{}) +
        std::distance(fs::directory_iterator(files()), fs::directory_iterator{}));
  }
  void lab_goes() override {
    told.push_back("goes, machines " + std::to_string(session->lab().nodes().size()));
  }
  void lab_gone() override {
    told.push_back(fs::exists(session->folder() / "m") ? "gone, its files are there" : "gone");
  }
  void capture_fell_short(const netsim::CaptureFile& file) override { told.push_back(file.in_words()); }
};

struct Frames final : netsim::FrameWatcher {
  explicit Frames(std::vector<std::string>& to) : told(to) {}
  ~Frames() override { told.push_back("nobody looks at frames"); }
  void seen(std::uint32_t, netsim::Direction, const netsim::Frame&) override {}
  std::vector<std::string>& told;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(lab_session)

BOOST_AUTO_TEST_CASE(its_lab_is_taken_down_before_its_place_and_each_is_told) {
  Host host;
  host.open();
  BOOST_TEST(host.places() == 2u);
  BOOST_TEST(fs::exists(host.session->folder() / "m" / "n1"));
  BOOST_REQUIRE(host.session->lab().start().has_value());
  host.session->loop().run_until([] { return false; }, S(1));
  BOOST_TEST((host.session->lab().boot_server().state() == backends::MachineState::running));
  host.session->take_down();
  BOOST_TEST((host.told == std::vector<std::string>{"goes, machines 3", "gone"}));
  BOOST_TEST(host.places() == 0u);
  host.session->take_down();  // nothing more
  host.session.reset();
  BOOST_TEST(host.told.size() == 2u);
}

BOOST_AUTO_TEST_CASE(one_that_is_let_go_leaves_nothing_and_tells_nobody) {
  Host host;
  host.open();
  BOOST_REQUIRE(host.session->lab().start().has_value());
  host.session.reset();
  BOOST_TEST(host.places() == 0u);
  BOOST_TEST(host.told.empty());
}

BOOST_AUTO_TEST_CASE(several_of_one_name_stand_side_by_side_where_another_name_will_do) {
  Host one;
  one.open();
  const auto other = open_session(one.setup(), one);
  BOOST_TEST(one.session->folder() != other->folder());
  BOOST_TEST(one.session->memory_folder() != other->memory_folder());
  BOOST_TEST(one.places() == 4u);
}

BOOST_AUTO_TEST_CASE(one_that_does_not_fit_this_host_is_refused_and_leaves_nothing) {
  Host host;
  SessionSetup setup = host.setup();
  setup.measures_host = true;
  setup.plan.machines.front().memory = mebibytes(std::uint64_t{1} << 40);
  const auto refused = LabSession::open(std::move(setup), host);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().message.find("3 machines are predicted to use") != std::string::npos,
             refused.error().message);
  BOOST_TEST(host.places() == 0u);
}

BOOST_AUTO_TEST_CASE(a_backend_that_there_is_not_is_named_with_the_machine) {
  Host host;
  SessionSetup setup = host.setup();
  setup.backends = [](const BackendChoice&, EventLoop&) { return std::unique_ptr<backends::Backend>(); };
  const auto session = open_session(std::move(setup), host);
  const Status made = session->make_lab();
  BOOST_REQUIRE(!made.has_value());
  BOOST_TEST(made.error().message == "machine 'server': this build has no backend 'uml'");
}

BOOST_AUTO_TEST_CASE(who_looks_at_frames_goes_with_the_session) {
  Host host;
  host.session = open_session(host.setup(), host);
  BOOST_REQUIRE(host.session->make_lab(std::make_unique<Frames>(host.told)).has_value());
  host.session->take_down();
  BOOST_TEST(host.told.back() == "gone");
  host.session.reset();
  BOOST_TEST(host.told.back() == "nobody looks at frames");
}

BOOST_AUTO_TEST_CASE(a_capture_is_whole_once_it_has_ended) {
  Host host;
  host.open();
  BOOST_TEST(host.session->end_capture() == nullptr);
  const fs::path file = host.folder.path() / "frames.pcapng";
  const Status nowhere = host.session->capture(host.folder.path() / "none" / "frames.pcapng");
  BOOST_REQUIRE(!nowhere.has_value());
  BOOST_REQUIRE(host.session->capture(file).has_value());
  for (const auto& node : host.session->lab().nodes()) BOOST_TEST(node->is_captured());
  const netsim::CaptureFile* capture = host.session->end_capture();
  BOOST_REQUIRE(capture != nullptr);
  BOOST_TEST(!capture->is_open());
  BOOST_TEST(fs::file_size(file) == capture->bytes_written());
  BOOST_TEST(capture->told().why == "");
  host.session->take_down();
  BOOST_TEST((host.told == std::vector<std::string>{"goes, machines 3", "gone"}));
}

BOOST_AUTO_TEST_CASE(in_virtual_time_it_began_in_1970_and_in_the_hosts_time_it_did_not) {
  Host host;
  host.open();
  BOOST_TEST((host.session->began() == Duration{0}));
  SessionSetup setup = host.setup();
  setup.time = SessionTime::wall;
  BOOST_TEST((open_session(std::move(setup), host)->began() > std::chrono::hours(24 * 365)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
