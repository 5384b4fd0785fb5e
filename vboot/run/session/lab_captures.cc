#include "vboot/run/session/lab_captures.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <utility>

namespace rookery::vboot {

Json to_json(const netsim::CaptureTold& told) {
  Json json = Json::object()
                  .set("frames", Json::count(told.frames))
                  .set("frames_left_out", Json::count(told.left_out));
  if (!told.why.empty()) json.set("why", told.why);
  return json;
}

// Two that write one file would write over each other; Sink sees it only if they opened it each for himself.
Status LabCaptures::check(const std::vector<Node*>& nodes, const CaptureRequest& request, int fd) const {
  if (captures_.size() >= kMost)
    return fail(ErrorKind::usage,
                fmt::format("{} captures run already; at most {}", captures_.size(), kMost));
  struct stat it {};
  if (fd < 0 || ::fstat(fd, &it) != 0)
    return fail(ErrorKind::usage, "a capture wants a descriptor to write to, which comes with the request");
  const netsim::CaptureFile* other = nullptr;
  const auto look = [&](const netsim::CaptureFile* file) {
    if (file != nullptr && file->identity() == Sink::Identity{it.st_dev, it.st_ino}) other = file;
  };
  for (const Node* node : nodes) {
    if (node->is_captured())
      return fail(ErrorKind::usage, node->plan().name + " is being captured already, to another file");
  }
  for (const auto& node : lab_.nodes()) look(node->capture_file());
  for (const auto& [number, capture] : captures_) look(capture.file.get());
  if (other == nullptr) return {};
  return fail(ErrorKind::usage,
              "the capture " + request.file +
                  " is being written already, by another capture of this lab: " + other->name());
}

Result<int> LabCaptures::begin(const std::vector<Node*>& nodes, const CaptureRequest& request, UniqueFd fd,
                               Done done) {
  ROOKERY_TRY(check(nodes, request, fd.get()));
  netsim::CaptureRules rules;
  rules.started_at = began_;
  auto file = netsim::CaptureFile::create(std::move(fd), request.file, request.replace, rules);
  if (!file) return tl::unexpected<Error>(file.error());
  const int number = ++last_;
  Capture& begun = captures_[number];
  begun.file = *file;
  for (Node* node : nodes) {
    begun.machines.push_back(node->plan().name);
    if (const Status captures = node->capture(*file); !captures) {
      stop(begun);
      captures_.erase(number);
      return tl::unexpected<Error>(captures.error());
    }
  }
  begun.done = std::move(done);
  begun.news = loop_.watch(begun.file->news(), EPOLLIN, [this, number](std::uint32_t) { settle(number); });
  if (request.time) begun.timer = loop_.after(*request.time, [this, number] { end(number); });
  return number;
}

void LabCaptures::stop(Capture& capture) {
  for (const std::string& machine : std::exchange(capture.machines, {})) {
    if (Node* node = lab_.find(machine)) (void)node->capture(nullptr);
  }
  loop_.cancel(capture.timer);
  capture.timer = {};
}

void LabCaptures::end(int number) {
  const auto found = captures_.find(number);
  if (found == captures_.end() || std::exchange(found->second.ending, true)) return;
  stop(found->second);
  found->second.file->close();
  linger(number, found->second.file->bytes_written());
}

// Who reads on gets all of it.
void LabCaptures::linger(int number, std::uint64_t written) {
  Capture& capture = captures_.at(number);
  capture.timer = loop_.after(netsim::CaptureFile::kPatience, [this, number, written] {
    const auto& file = captures_.at(number).file;
    if (file->bytes_written() == written) return file->abandon();  // which is news
    linger(number, file->bytes_written());
  });
}

// Nothing more is written: because it was ended, because its reader has gone, or because it cannot be.
void LabCaptures::settle(int number) {
  const auto found = captures_.find(number);
  if (found == captures_.end()) return;
  Capture capture = std::move(found->second);
  captures_.erase(found);
  stop(capture);
  capture.news.stop();
  const netsim::CaptureTold told = capture.file->told();
  if (const Status status = capture.file->status(); !status) {
    return capture.done(fail(status.error().kind, fmt::format("{}; {} frames are in it, {} are not", told.why,
                                                              told.frames, told.left_out)));
  }
  capture.done(to_json(told));
}

void LabCaptures::end_all() {
  for (auto& [number, capture] : captures_) {
    stop(capture);
    capture.file->close();
  }
  while (!captures_.empty()) {
    captures_.begin()->second.file->close(netsim::CaptureFile::kPatience);
    settle(captures_.begin()->first);
  }
}

}  // namespace rookery::vboot
