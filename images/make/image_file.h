// One file that is laid into an image: a plain value.
#pragma once

#include <sys/stat.h>

#include <string>

namespace rookery::images {

struct ImageFile {
  std::string path;      // "usr/lib/rookery/rc": without a slash in front
  unsigned mode = 0644;  // with S_IFLNK, `content` is where the link points; with S_IFDIR it is empty
  std::string content{};
};

inline bool is_link(const ImageFile& file) {
  return (file.mode & S_IFMT) == S_IFLNK;
}
inline bool is_folder(const ImageFile& file) {
  return (file.mode & S_IFMT) == S_IFDIR;
}

}  // namespace rookery::images
