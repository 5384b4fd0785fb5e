// The report of a run as one file of HTML that needs nothing else: what came of it, what failed and why, the
// picture, and all that is needed to do the same again. Pure. Whatever comes from machines (names, reasons,
// consoles) is taken for hostile.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json/json.h"
#include "base/result.h"
#include "vboot/report/history.h"

namespace rookery::vboot {

struct PageSource {
  const History& history;
  JsonView report;      // of up_report() or run_report(): so both say the same
  std::string command;  // that does the same again
  std::string made_at;  // for a person; empty in virtual time
  std::vector<std::pair<std::string, std::string>> facts;  // of build and host, in the order shown
  std::vector<std::pair<std::string, std::string>> files;  // what the run was made of, by name
  struct Console {
    std::string machine;
    std::vector<std::string> lines;  // its last
  };
  std::vector<Console> consoles;  // of machines that failed
};

// In one sentence: "100 of 100 clients ready in 7.64 s".
std::string headline(JsonView report);
std::string to_html(const PageSource& source);

// What --report can write, by the file's name: a page (.html) or the picture alone (.svg). An error of kind
// usage says so.
enum class ReportKind : std::uint8_t { page, picture };
Result<ReportKind> report_kind_of(std::string_view file);
std::string to_text(const PageSource& source, ReportKind kind);

}  // namespace rookery::vboot
