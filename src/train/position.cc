#include "train/position.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace yolov3 {
namespace {

// Values that checkpoints have had from their first day, and those that came later.
template <class Position, class Visit>
void for_fields(Position& p, const Visit& visit) {
  visit("next_batch", p.next_batch, true);
  visit("step", p.step, true);
  visit("best", p.best, true);
  visit("seconds", p.seconds, true);
  visit("giou_sum", p.giou_sum, true);
  visit("conf_sum", p.conf_sum, true);
  visit("prob_sum", p.prob_sum, true);
  visit("images", p.images, true);
  visit("batch", p.batch, true);
  visit("pictures", p.pictures, true);
  visit("batches_per_update", p.batches_per_update, true);
  visit("epoch", p.epoch, true);
  visit("unimproved", p.unimproved, false);
  visit("closing_seconds", p.closing_seconds, false);
  visit("skipped", p.skipped, false);
  visit("skipped_in_row", p.skipped_in_row, false);
  visit("rollbacks", p.rollbacks, false);
  visit("rate_scale", p.rate_scale, false);
}

}  // namespace

RunPosition next_epoch(RunPosition position) {
  ++position.epoch;
  position.next_batch = 0;
  position.giou_sum = position.conf_sum = position.prob_sum = 0;
  position.images = 0;
  return position;
}

void write_position(const RunPosition& position, StateValues& values) {
  for_fields(position, [&](const char* key, const auto& value, bool) { values[key] = fmt::format("{}", value); });
  values["seed"] = fmt::format("{}", static_cast<int64_t>(position.seed));
}

RunPosition read_position(const StateValues& values) {
  RunPosition position;
  for_fields(position, [&]<class Value>(const char* key, Value& value, bool always) {
    if (!always && !values.contains(key)) return;
    if constexpr (std::is_same_v<Value, double>) {
      value = state_number(values, key);
    } else {
      value = static_cast<Value>(std::min<int64_t>(state_count(values, key), std::numeric_limits<Value>::max()));
    }
  });
  position.seed = static_cast<uint64_t>(parse_integer(state_text(values, "seed")).value_or(0));
  return position;
}

const std::string& state_text(const StateValues& values, const std::string& key) {
  const auto found = values.find(key);
  check(found != values.end(),
        "it is a model or an older version's checkpoint, which cannot be resumed: it has no value '{}'", key);
  return found->second;
}

double state_number(const StateValues& values, const std::string& key) {
  const std::string& text = state_text(values, key);
  const std::optional<double> value = parse_number(text);
  check(value.has_value(), "its '{}' is '{}', expected a number", key, text);
  return *value;
}

int64_t state_count(const StateValues& values, const std::string& key) {
  const std::string& text = state_text(values, key);
  const std::optional<int64_t> value = parse_integer(text);
  check(value && *value >= 0 && *value < (int64_t{1} << 53), "its '{}' is '{}', expected a count", key, text);
  return *value;
}

}  // namespace yolov3
