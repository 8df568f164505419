#include "data/suspicious.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

namespace yolov3 {
namespace {

constexpr size_t kFeatures = ObjectLook::kFeatures;
// A class whose objects all look the same must not make every rounding a stranger: least spreads, in the features' units.
constexpr std::array<double, kFeatures> kLeastSpread = {0.1, 0.1, 4, 3, 3, 4};

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct ClassLook {
  std::array<double, kFeatures> middle{}, spread{};
  bool known = false;

  double distance(const ObjectLook& look) const {
    double sum = 0;
    for (size_t f = 0; f < kFeatures; ++f) {
      const double z = (look.features[f] - middle[f]) / spread[f];
      sum += z * z;
    }
    return std::sqrt(sum / kFeatures);
  }
};

ClassLook class_look(const std::vector<const ObjectLook*>& objects) {
  ClassLook look;
  look.known = objects.size() >= kLeastObjects;
  if (!look.known) return look;
  for (size_t f = 0; f < kFeatures; ++f) {
    std::vector<double> values;
    for (const ObjectLook* object : objects) values.push_back(object->features[f]);
    look.middle[f] = median(values);
    for (double& value : values) value = std::abs(value - look.middle[f]);
    look.spread[f] = std::max(kLeastSpread[f], 1.4826 * median(values));  // of a normal distribution: its deviation
  }
  return look;
}

std::vector<ClassLook> class_looks(const std::vector<const Example*>& pictures,
                                   const std::vector<const PictureLook*>& looks, size_t classes) {
  std::vector<std::vector<const ObjectLook*>> objects(classes);
  for (size_t i = 0; i < pictures.size(); ++i) {
    for (size_t k = 0; k < pictures[i]->objects.size(); ++k) {
      const Annotation& object = pictures[i]->objects[k];
      if (!object.crowd) objects[static_cast<size_t>(object.class_id)].push_back(&looks[i]->objects[k]);
    }
  }
  std::vector<ClassLook> result;
  for (const auto& one : objects) result.push_back(class_look(one));
  return result;
}

Suspect judge(const ObjectLook& look, int class_id, const std::vector<ClassLook>& classes) {
  Suspect suspect;
  suspect.distance = classes[static_cast<size_t>(class_id)].distance(look);
  suspect.likely_distance = suspect.distance;
  for (size_t k = 0; k < classes.size(); ++k) {
    if (!classes[k].known || static_cast<int>(k) == class_id) continue;
    const double distance = classes[k].distance(look);
    if (distance >= suspect.likely_distance) continue;
    suspect.likely_distance = distance;
    suspect.likely_class = static_cast<int>(k);
  }
  return suspect;
}

// How far from its own class, and how much of that another class would explain.
double weight(const Suspect& suspect) { return suspect.distance + (suspect.distance - suspect.likely_distance); }

}  // namespace

std::vector<Suspect> find_suspects(const std::vector<const Example*>& pictures,
                                   const std::vector<const PictureLook*>& looks, size_t classes, size_t count) {
  const std::vector<ClassLook> known = class_looks(pictures, looks, classes);
  std::vector<Suspect> suspects;
  for (size_t i = 0; i < pictures.size(); ++i) {
    for (size_t k = 0; k < pictures[i]->objects.size(); ++k) {
      const Annotation& object = pictures[i]->objects[k];
      if (object.crowd || !known[static_cast<size_t>(object.class_id)].known) continue;
      Suspect suspect = judge(looks[i]->objects[k], object.class_id, known);
      suspect.picture = i;
      suspect.object = k;
      suspects.push_back(suspect);
    }
  }
  const auto kept = static_cast<ptrdiff_t>(std::min(count, suspects.size()));
  std::partial_sort(suspects.begin(), suspects.begin() + kept, suspects.end(), [](const Suspect& a, const Suspect& b) {
    return std::tuple(-weight(a), a.picture, a.object) < std::tuple(-weight(b), b.picture, b.object);
  });
  suspects.resize(static_cast<size_t>(kept));
  return suspects;
}

}  // namespace yolov3
