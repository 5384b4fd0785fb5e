// The commands of boot scripts that get images and other scripts, and boot them.
#include <algorithm>

#include "guest/script/ipxe_interpreter.h"

namespace rookery::ipxe {

BootImage* Interpreter::find_image(std::string_view name) {
  const auto found = std::find_if(images_.begin(), images_.end(),
                                  [&](const BootImage& image) { return image.name == name; });
  return found == images_.end() ? nullptr : &*found;
}

void Interpreter::forget_image(const BootImage* image) {
  if (!image->handle.empty()) host_.drop_image(image->handle);
  images_.erase(images_.begin() + (image - images_.data()));
}

// uri##params or uri##params=name sends what `params` and `param` have put together, once.
Result<Interpreter::Target> Interpreter::target_of(const Invocation& call) {
  Target target;
  std::string_view reference = call.words[0];
  if (const std::size_t mark = reference.find("##params"); mark != std::string_view::npos) {
    std::string_view name = reference.substr(mark + 8);
    if (name.starts_with('=')) name.remove_prefix(1);
    const auto form = forms_.find(name);
    if (form == forms_.end()) return fail("there are no params for " + call.words[0].substr(0, 200));
    target.options.form = std::move(form->second);
    forms_.erase(form);
    reference = reference.substr(0, mark);
  }
  if (const auto timeout = call.options.find('t'); timeout != call.options.end()) {
    const Result<std::uint32_t> value = parse_count(timeout->second, kTimeoutMaxMilliseconds);
    if (!value) return tl::unexpected(value.error());
    target.options.silence = std::chrono::milliseconds(*value);
  }
  target.options.extract = call.command == "imgextract";
  Result<BootUrl> url = resolve_url(url_, reference);
  if (!url) return tl::unexpected(url.error());
  target.url = std::move(*url);
  return target;
}

// The image of that name if there is one, and otherwise what the address gives.
Result<BootImage*> Interpreter::acquire(const Invocation& call, ImageUse use) {
  const std::string arguments = call.joined(1);
  const auto name = call.options.find('n');
  BootImage* image = find_image(call.words[0]);
  if (image == nullptr) {
    if (images_.size() >= kImagesMax) return fail("more than " + std::to_string(kImagesMax) + " images");
    Result<Target> target = target_of(call);
    if (!target) return tl::unexpected(target.error());
    BootImage fetched{target->url.file_name(), target->url, use, "", ""};
    if (name != call.options.end()) fetched.name = name->second;
    // What is fetched again is the same image, and not one more.
    if (BootImage* const before = find_image(fetched.name);
        before != nullptr &&
        (name != call.options.end() || before->url.to_string() == fetched.url.to_string())) {
      forget_image(before);
    }
    Result<std::string> handle = host_.fetch_image(fetched.url, use, arguments, target->options);
    if (!handle) return fail("cannot fetch " + fetched.url.to_string() + ": " + handle.error().message);
    fetched.handle = std::move(*handle);
    images_.push_back(std::move(fetched));
    image = &images_.back();
  } else if (name != call.options.end()) {
    image->name = name->second;
  }
  if (!arguments.empty()) image->arguments = arguments;
  return image;
}

Outcome Interpreter::kernel(const Invocation& call) {
  const Result<BootImage*> image = acquire(call, ImageUse::kernel);
  if (!image) return failure(image.error().message);
  selected_ = (*image)->name;
  return {};
}

Outcome Interpreter::initrd(const Invocation& call) {
  const Result<BootImage*> image = acquire(call, ImageUse::initrd);
  return image ? Outcome{} : failure(image.error().message);
}

Outcome Interpreter::imgargs(const Invocation& call) {
  BootImage* const image = find_image(call.words[0]);
  if (image == nullptr) return failure("there is no image '" + call.words[0].substr(0, 80) + "'");
  image->arguments = call.joined(1);
  return {};
}

Outcome Interpreter::imgfree(const Invocation& call) {
  if (call.words.empty()) {
    while (!images_.empty()) forget_image(&images_.back());
    return {};
  }
  const BootImage* const image = find_image(call.words[0]);
  if (image == nullptr) return failure("there is no image '" + call.words[0].substr(0, 80) + "'");
  forget_image(image);
  return {};
}

Outcome Interpreter::imgstat(const Invocation&) {
  for (const BootImage& image : images_) {
    host_.print(image.name + " : " + (image.use == ImageUse::kernel ? "[kernel]" : "[initrd]") +
                (image.name == selected_ ? " [SELECTED]" : "") +
                (image.arguments.empty() ? "" : " \"" + image.arguments + "\""));
  }
  return {};
}

Outcome Interpreter::boot(const Invocation& call) {
  if (!call.words.empty()) {
    const BootImage* const named = find_image(call.words[0]);
    if ((named != nullptr ? named->url.path : call.words[0]).ends_with(".ipxe")) {
      Invocation script = call;
      if (named != nullptr) {
        script.words[0] = named->url.to_string();
        forget_image(named);
      }
      return chain(script);
    }
    if (Outcome selected = kernel(call); selected.kind != Outcome::Kind::success) return selected;
  }
  BootImage* const image = selected_.empty() ? nullptr : find_image(selected_);
  if (image == nullptr) return failure("there is no kernel to boot");
  if (image->arguments.size() >= kCommandLineMax) {
    return failure("the kernel's arguments exceed " + std::to_string(kCommandLineMax) + " bytes");
  }
  if (image->use == ImageUse::initrd && host_.is_kernel(image->handle)) image->use = ImageUse::kernel;
  return Outcome{Outcome::Kind::boot};
}

Outcome Interpreter::chain(const Invocation& call) {
  const bool replaces = call.has('r');
  if (!replaces && depth_ + 1 >= kChainDepthMax) {
    return halt("scripts chained more than " + std::to_string(kChainDepthMax) + " deep");
  }
  const Result<Target> target = target_of(call);
  if (!target) return failure(target.error().message);
  const std::string where = target->url.to_string();
  Result<std::string> text = host_.fetch_script(target->url, target->options);
  if (!text) return failure("cannot fetch " + where + ": " + text.error().message);
  if (!is_script(*text)) return failure(where + " is not an iPXE script");
  if (replaces) {
    Outcome outcome{Outcome::Kind::replace};
    outcome.text = std::move(*text);
    outcome.url = target->url;
    return outcome;
  }
  depth_ += 1;
  Outcome end = run(*text, target->url);
  depth_ -= 1;
  if (!end.message.empty()) end.message.insert(0, where + ": ");
  if (end.kind != Outcome::Kind::exit) return end;
  return end.code == 0 ? Outcome{} : failure(where + ": exit " + std::to_string(end.code));
}

Outcome Interpreter::params(const Invocation& call) {
  const auto name = call.options.find('n');
  const std::string key = name == call.options.end() ? "" : name->second;
  forms_.erase(key);
  if (call.has('d')) return {};
  if (forms_.size() >= kMenusMax) return halt("more than " + std::to_string(kMenusMax) + " lists of params");
  forms_.emplace(key, "");
  return {};
}

Outcome Interpreter::param(const Invocation& call) {
  const auto name = call.options.find('p');
  const auto form = forms_.find(name == call.options.end() ? "" : name->second);
  if (form == forms_.end()) return failure("there are no params for this param");
  const auto encoded = [](const std::string& text) {
    return format_setting(as_bytes(text), SettingType::uristring);
  };
  std::string& body = form->second;
  if (!body.empty()) body += '&';
  body += encoded(call.words[0]) + "=" + encoded(call.joined(1));
  if (body.size() > kFormMax) return halt("params of more than " + std::to_string(kFormMax) + " bytes");
  return {};
}

}  // namespace rookery::ipxe
