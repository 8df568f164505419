// Small things done to text while parsing files that people wrote.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace yolov3 {

std::string_view trim(std::string_view text);  // without spaces, tabs, CR and LF at both ends
std::vector<std::string_view> split(std::string_view text, char separator);  // keeps empty parts
std::vector<std::string_view> split_words(std::string_view text);            // at runs of white space
std::vector<std::string_view> split_lines(std::string_view text);            // LF or CRLF; a UTF-8 BOM is skipped
std::string_view without_bom(std::string_view text);                         // UTF-8 byte order mark

// The whole text as a number, or nothing: "12x", "", "nan" and out-of-range values are nothing.
std::optional<int64_t> parse_integer(std::string_view text);
std::optional<double> parse_number(std::string_view text);

// The candidate most like `word`, for "did you mean"; empty when none is near.
std::string closest_match(std::string_view word, const std::vector<std::string>& candidates);

std::string to_lower(std::string_view text);
bool ends_with_ignoring_case(std::string_view text, std::string_view ending);

// Seconds of "30s", "10m", "2h", "1h30m" or "0": numbers, whole or decimal, each with its unit, each unit once and the
// larger before the smaller. Anything else, a number without a unit too, is nothing.
std::optional<double> parse_duration(std::string_view text);
// For XML and HTML, between tags and in quotation marks: & < > " as entities.
std::string markup_escaped(std::string_view text);

// "3.2 MB", "1:02:03", "?" for what is not finite: for people, never for parsing.
std::string human_bytes(double bytes);
std::string human_seconds(double seconds);

}  // namespace yolov3
