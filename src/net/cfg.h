// Darknet's .cfg text and NetworkSpec, both ways. docs/formats.md has the keys.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "net/spec.h"

namespace yolov3 {

struct ParsedCfg {
  NetworkSpec spec;
  // Keys that are known but no part of the network (training and augmentation), as "section.key" -> value; of several
  // sections of one kind the last that has the key counts.
  std::map<std::string, std::string> training_keys;
};

// `name` stands before the line number in messages: "yolov3.cfg:12: ...".
// Errors: unknown sections and keys, bad numbers, indices of layers that do not exist, shapes that do not fit, absurd
// sizes; nothing large is allocated before they are checked.
ParsedCfg parse_cfg(std::string_view text, const std::string& name);

// parse_cfg(write_cfg(spec)).spec == spec for every valid spec (net/builder.h, check_spec). Batch norm's epsilon is no
// key of Darknet's: where it is not Darknet's 1e-5 it is written as `bn_epsilon=` into [net].
std::string write_cfg(const NetworkSpec& spec);

}  // namespace yolov3
