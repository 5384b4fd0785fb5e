#include "guest/storage/nbd_handshake.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <iostream>

#include "base/command.h"
#include "base/unique_fd.h"

using namespace rookery;

namespace {

ByteBuffer greeting(std::uint16_t flags = 3) {
  return ByteWriter().text("NBDMAGICIHAVEOPT").be16(flags).take();
}
ByteBuffer reply(std::uint32_t type, const ByteBuffer& data = {}) {
  return ByteWriter()
      .be64(0x3e889045565a9)
      .be32(7)
      .be32(type)
      .be32(static_cast<std::uint32_t>(data.size()))
      .bytes(data)
      .take();
}
ByteBuffer info_export(std::uint64_t size, std::uint16_t flags) {
  return ByteWriter().be16(0).be64(size).be16(flags).take();
}

// Feeds a server's bytes as they are wanted; gives the error, or "" if all were taken.
std::string feed(NbdHandshake& handshake, const std::vector<ByteBuffer>& parts) {
  ByteBuffer all;
  for (const ByteBuffer& part : parts) all.insert(all.end(), part.begin(), part.end());
  ByteReader in(all);
  while (in.remaining() > 0 && !handshake.result()) {
    const ByteView part = in.take(handshake.wanted());
    if (!in.ok()) return "(the server's bytes ended early)";
    if (const auto answer = handshake.take(part); !answer) return answer.error().message;
  }
  return in.remaining() == 0 ? "" : "(bytes were left for the kernel)";
}
std::string error_for(const std::vector<ByteBuffer>& parts) {
  NbdHandshake handshake("root");
  return feed(handshake, parts);
}

}  // namespace

BOOST_AUTO_TEST_CASE(asks_for_the_export_and_learns_its_size) {
  NbdHandshake handshake("root");
  const auto question = handshake.take(greeting());
  BOOST_REQUIRE(question);
  const ByteBuffer expected =
      ByteWriter().be32(3).text("IHAVEOPT").be32(7).be32(10).be32(4).text("root").be16(0).take();
  BOOST_CHECK(*question == expected);
  BOOST_CHECK_EQUAL(feed(handshake, {reply(3, info_export(4096, 0x103)), reply(3, {0, 3}), reply(1)}), "");
  BOOST_REQUIRE(handshake.result());
  BOOST_CHECK_EQUAL(handshake.result()->size, 4096);
  BOOST_CHECK_EQUAL(handshake.result()->flags, 0x103);
}

BOOST_AUTO_TEST_CASE(leaves_what_follows_to_the_kernel) {
  NbdHandshake handshake("root");
  BOOST_CHECK_EQUAL(feed(handshake, {greeting(), reply(3, info_export(1, 0)), reply(1), {1, 2, 3}}),
                    "(bytes were left for the kernel)");
}

BOOST_AUTO_TEST_CASE(says_why_a_server_refuses) {
  const ByteBuffer text{'n', 'o', 'p', 'e', 27};
  BOOST_CHECK_EQUAL(error_for({greeting(), reply(0x80000006, text)}),
                    "the NBD server refuses the export 'root': it has no such export (nope?)");
  BOOST_CHECK_EQUAL(error_for({greeting(), reply(0x80000005)}),
                    "the NBD server refuses the export 'root': it wants TLS");
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_handshake) {
  BOOST_CHECK_EQUAL(error_for({ByteBuffer(18, 'x')}), "what answers there is not an NBD server");
  BOOST_CHECK_EQUAL(error_for({ByteWriter().text("NBDMAGIC").be64(0x420281861253).be16(0).take()}),
                    "the NBD server speaks the oldstyle protocol");
  BOOST_CHECK_EQUAL(error_for({greeting(0)}), "the NBD server does not speak the fixed newstyle protocol");
  BOOST_CHECK_EQUAL(error_for({greeting(), ByteBuffer(20, 0)}),
                    "the NBD server's reply is not one to our question");
  BOOST_CHECK_EQUAL(error_for({greeting(), reply(9)}), "the NBD server's reply has an unknown type");
  BOOST_CHECK_EQUAL(error_for({greeting(), reply(1)}), "the NBD server did not describe the export");
  BOOST_CHECK_EQUAL(error_for({greeting(), reply(3, {0, 0, 1})}),
                    "the NBD server's description of the export is cut short");
  BOOST_CHECK_EQUAL(error_for({greeting(), reply(3, info_export(0, 0)), reply(1)}),
                    "the NBD export 'root' is empty");
}

BOOST_AUTO_TEST_CASE(bounds_what_a_server_may_say) {
  BOOST_CHECK_EQUAL(error_for({greeting(), reply(3, ByteBuffer(NbdHandshake::kReplyMax + 1))}),
                    "the NBD server's reply is too long");
  std::vector<ByteBuffer> parts{greeting()};
  parts.insert(parts.end(), NbdHandshake::kRepliesMax + 1, reply(3));
  BOOST_CHECK_EQUAL(error_for(parts), "the NBD server replies without end");
  NbdHandshake long_name(std::string(NbdHandshake::kNameMax + 1, 'x'));
  BOOST_CHECK_EQUAL(feed(long_name, {greeting()}), "the name of the NBD export is too long");
}

// Against a real server
// ---------------------------------------------------------------------------------------

namespace {

// nbdkit with 1 MiB of its pattern, read-only, at the other end of a socket pair; it ends when this object
// does.
class Nbdkit {
 public:
  explicit Nbdkit(const std::filesystem::path& program) {
    int ends[2];
    BOOST_REQUIRE_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ours_ = UniqueFd(ends[0]);
    const UniqueFd theirs(ends[1]);
    child_ = fork();
    if (child_ == 0) {
      dup2(theirs.get(), 0);
      dup2(theirs.get(), 1);
      execl(program.c_str(), "nbdkit", "--single", "--readonly", "pattern", "1M",
            static_cast<char*>(nullptr));
      _exit(127);
    }
  }
  ~Nbdkit() {
    ours_.reset();
    waitpid(child_, nullptr, 0);
  }
  int socket() const { return ours_.get(); }

 private:
  UniqueFd ours_;
  pid_t child_ = -1;
};

ByteBuffer receive(int fd, std::size_t size) {
  ByteBuffer bytes(size);
  BOOST_REQUIRE_EQUAL(recv(fd, bytes.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
  return bytes;
}

std::string shake_hands(int fd, NbdHandshake& handshake) {
  while (!handshake.result()) {
    const auto answer = handshake.take(receive(fd, handshake.wanted()));
    if (!answer) return answer.error().message;
    BOOST_REQUIRE_EQUAL(send(fd, answer->data(), answer->size(), MSG_NOSIGNAL),
                        static_cast<ssize_t>(answer->size()));
  }
  return "";
}

}  // namespace

BOOST_AUTO_TEST_CASE(agrees_with_nbdkit_and_reads_from_it) {
  const auto program = find_program("nbdkit", "nbdkit");
  if (!program) {
    std::cerr << "skipped: " << program.error().message << '\n';
    return;
  }
  const Nbdkit server(*program);
  NbdHandshake handshake("root");
  BOOST_REQUIRE_EQUAL(shake_hands(server.socket(), handshake), "");
  BOOST_CHECK_EQUAL(handshake.result()->size, 1u << 20);
  BOOST_CHECK_EQUAL(handshake.result()->flags & 3, 3);  // has flags, read-only

  // What the kernel would do next: a read of 16 bytes at 4,096 (proto.md, "Request message"). The pattern is
  // each 8 bytes' own offset.
  const ByteBuffer request =
      ByteWriter().be32(0x25609513).be16(0).be16(0).be64(42).be64(4096).be32(16).take();
  BOOST_REQUIRE_EQUAL(send(server.socket(), request.data(), request.size(), MSG_NOSIGNAL),
                      static_cast<ssize_t>(request.size()));
  const ByteBuffer header = receive(server.socket(), 16);
  BOOST_CHECK_EQUAL(ByteReader(header).be32(), 0x67446698);  // simple reply
  const ByteBuffer data = receive(server.socket(), 16);
  BOOST_CHECK(data == ByteWriter().be64(4096).be64(4104).take());
}
