// What a guest's side of a fake lab says: frames out of a NIC, and an agent's words over the management NIC.
// The lab's loop must serve descriptors (WallPacer). Owned by the test; it leaves with the object.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>

#include "guest/protocol/agent_channel.h"
#include "guest/protocol/agent_protocol.h"
#include "tests/support/fake_lab.h"
#include "tests/support/vhost_driver.h"

namespace rookery::vboot {

class FakeNic {
  static constexpr std::uint64_t kMemory = 1 << 20, kBase = 0x1000, kBuffers = 0x10000, kBuffer = 2048;
  static constexpr std::uint16_t kQueue = 64, kHeader = 12;

 public:
  // Its driver is there when this returns. `nic`: net0 is on the cable, net1 the management NIC.
  FakeNic(FakeLab& lab, const std::string& machine, const std::string& nic)
      : lab_(lab), driver_(lab.session->folder() / "m" / machine / nic, kMemory, kBase) {
    driver_.ask(vhost_user::Request::set_features, ByteWriter().le64(1ull << 32 | 1ull << 30).take());
    driver_.share_memory();
    driver_.enable(1, kQueue, 0);
  }

  // As many at once as the queue has entries for.
  void send(ByteView frame) {
    const std::uint16_t at = sent_ % kQueue;
    const std::uint64_t buffer = kBuffers + at * kBuffer;
    std::memset(driver_.memory() + buffer, 0, kHeader);
    std::memcpy(driver_.memory() + buffer + kHeader, frame.data(), frame.size());
    ByteWriter descriptor;
    descriptor.le64(kBase + buffer).le32(static_cast<std::uint32_t>(kHeader + frame.size())).le16(0).le16(0);
    std::memcpy(driver_.memory() + 16 * at, descriptor.buffer().data(), 16);
    put(VhostDriver::kAvailable + 4 + 2u * at, at);
    put(VhostDriver::kAvailable + 2, ++sent_);
    driver_.kick(1);
  }
  void share_no_queue() {
    driver_.ask(vhost_user::Request::set_vring_num, ByteWriter().le32(1).le32(7).take());
  }

 private:
  void put(std::uint64_t at, std::uint16_t value) {
    std::memcpy(driver_.memory() + at, &value, sizeof value);
  }

  FakeLab& lab_;
  VhostDriver driver_;
  std::uint16_t sent_ = 0;
};

// Says that the machine, which is on, is ready, and waits until the lab has heard it.
inline void say_ready(FakeLab& lab, const std::string& machine) {
  Node* node = lab.lab->find(machine);
  FakeNic nic(lab, machine, "net1");
  agent::Channel channel = agent::Channel::guest(77);
  const agent::MacAddress mac = *node->plan().management_mac;
  BOOST_REQUIRE(channel.send(agent::encode(agent::Hello{77, agent::Program::agent})).has_value());
  BOOST_REQUIRE(channel.send(agent::encode(agent::Ready{})).has_value());
  while (const auto segment = channel.next_segment(lab.loop.now()))
    nic.send(agent::wrap_frame(agent::kHostAddress, mac, *segment));
  BOOST_REQUIRE(
      lab.loop.run_until([&] { return node->boot().stage == Stage::ready; }, std::chrono::seconds(20)));
}

}  // namespace rookery::vboot
