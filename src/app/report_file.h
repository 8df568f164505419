// Files that a command is asked to write beside its work.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data/source.h"

namespace yolov3 {

enum class ReportKind { json, html, plan, anchors };  // anchors: a cfg or a yaml that begins with kAnchorsMark
constexpr const char* kAnchorsMark = "# yolov3 anchors of ";

// Before a long run: the file can be written, and nothing is lost by it. What is there already must be of its kind, as an
// earlier report is, and no input: neither one of `inputs` (files that the command reads; empty paths are none) nor part of
// the data set. "-" and "" are no files.
// option: for the message. Errors: Kind::usage where something would be lost, else as check_writable.
void check_report_file(const char* option, const std::string& file, ReportKind kind, const DataOptions& data = {},
                       const std::vector<std::filesystem::path>& inputs = {});

// That these files, options with their values, are as many. Errors: Kind::usage, two that are the same.
void check_files_differ(const std::vector<std::pair<const char*, std::string>>& files);

}  // namespace yolov3
