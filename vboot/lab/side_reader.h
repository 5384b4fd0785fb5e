// What a lab file says by naming other files: tables of machines, public keys, what is injected. A base for
// the reader of one lab file; borrows its name and what reads files beside it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vboot/lab/lab.h"
#include "vboot/lab/lab_words.h"
#include "vboot/lab/node_reader.h"
#include "vboot/lab/side_files.h"

namespace rookery::vboot {

// A path that a lab file names, as seen from where the program runs; "~/" is the user's home.
std::string beside_lab_file(std::string_view lab_file, const std::string& path);

class SideReader : protected NodeReader {
 protected:
  SideReader(Problems& problems, std::string_view filename, const ReadSideFile& read)
      : NodeReader(problems), filename_(filename), read_(read) {}

  void hosts(const YamlNode& node, GroupWords& words, std::vector<HostRow>& rows);
  std::vector<std::string> authorized_keys(const YamlNode& node);  // keys as they are, and files of keys
  std::vector<Injection> inject(const YamlNode& node);

 private:
  // What another file says, or nothing and a problem.
  std::optional<std::string> side_file(const YamlNode& node, std::string_view what);
  std::string beside(const std::string& path) const { return beside_lab_file(filename_, path); }
  Injection injection(const YamlNode& node);

  std::string_view filename_;
  const ReadSideFile& read_;
};

}  // namespace rookery::vboot
