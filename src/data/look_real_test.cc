// Copies and strangers in real data sets. They are not part of the repository: without them these tests skip.
#include <gtest/gtest.h>

#include <set>

#include "base/shared_folder.h"
#include "data/similar.h"
#include "data/source.h"
#include "data/suspicious.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

struct Looked {
  std::vector<Dataset> splits;
  std::vector<std::vector<PictureLook>> looks;
  std::vector<const Example*> pictures;
  std::vector<const PictureLook*> all;
};

Looked look_at_all(const fs::path& data) {
  Looked looked;
  DataOptions options;
  options.data = data.string();
  DefectReport report;
  for (const std::string& split : splits_of(options)) {
    looked.splits.push_back(load_dataset(options, split, report));
    looked.looks.push_back(look_at(looked.splits.back(), 0));
  }
  for (size_t s = 0; s < looked.splits.size(); ++s) {
    for (size_t i = 0; i < looked.looks[s].size(); ++i) {
      looked.pictures.push_back(&looked.splits[s].examples[i]);
      looked.all.push_back(&looked.looks[s][i]);
    }
  }
  return looked;
}

// Acceptance 3: the three pictures whose labels are swapped are among the first 20 suspicious cells.
TEST(LookReal, SlowBccdsSwappedLabelsAreAmongTheFirst20Suspects) {
  const fs::path shared = test::shared_folder() / "data/bccd";
  if (!fs::exists(shared)) GTEST_SKIP() << shared << " is not there (set YOLOV3_SHARED)";
  const Looked looked = look_at_all(shared);
  ASSERT_EQ(looked.pictures.size(), 364u);
  std::set<std::string> found;
  for (const Suspect& one : find_suspects(looked.pictures, looked.all, 3, 20)) {
    const Example& picture = *looked.pictures[one.picture];
    found.insert(picture.image.stem().string());
  }
  for (const char* stem : {"BloodImage_00113", "BloodImage_00133", "BloodImage_00135"}) {
    EXPECT_TRUE(found.contains(stem)) << stem;
  }
  // Two pictures of one field: 37 is in val, 38 in train.
  const std::vector<SimilarGroup> groups = find_similar(looked.all, 0);
  ASSERT_EQ(groups.size(), 1u);
  std::set<std::string> alike;
  for (const size_t i : groups[0].pictures) alike.insert(looked.pictures[i]->image.stem().string());
  EXPECT_EQ(alike, (std::set<std::string>{"BloodImage_00037", "BloodImage_00038"}));
  EXPECT_FALSE(groups[0].identical);
}

}  // namespace
}  // namespace yolov3
