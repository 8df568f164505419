#include "data/look.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/similar.h"
#include "data/suspicious.h"
#include "data/synthetic.h"
#include "data/test_folder.h"
#include "image/letterbox.h"

namespace yolov3 {
namespace {

// Left half (10,10,10), right half (200,100,50); a box over part of the right half.
TEST(Look, FeaturesAreMeansByHand) {
  Image image(80, 40, 10);
  for (int y = 0; y < 40; ++y) {
    for (int x = 40; x < 80; ++x) {
      uint8_t* p = image.pixel(x, y);
      p[0] = 200, p[1] = 100, p[2] = 50;
    }
  }
  const Annotation object{{100, 20, 140, 60}, 0, false, false, 1600};  // the file is twice as large
  const PictureLook look = look_at(image, 160, 80, {object});
  const double grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50;
  const auto& f = look.objects.at(0).features;
  EXPECT_NEAR(f[0], std::log(40.0 / 120), 1e-6);  // 120 = the mean of 160 and 80
  EXPECT_NEAR(f[1], std::log(40.0 / 120), 1e-6);
  EXPECT_NEAR(f[2], grey - (grey + 10) / 2, 1e-9);
  EXPECT_NEAR(f[3], 100 - 50, 1e-9);
  EXPECT_NEAR(f[4], -50 + 25, 1e-9);
  EXPECT_NEAR(f[5], 0, 1e-6);
  EXPECT_EQ(look.thumb[0], 10);
  EXPECT_EQ(look.thumb[15], std::lround(grey));
  // 9 columns: 0..3 dark, 4 half and half, 5..8 light; no place is brighter than its right neighbour.
  EXPECT_EQ(look.hash, 0u);
}

Image blended(const Image& image, double gain, double shift) {
  Image out = image;
  for (uint8_t& v : out.rgb) v = static_cast<uint8_t>(std::clamp(gain * v + shift, 0.0, 255.0));
  return out;
}

TEST(Similar, CopiesAreFoundWhateverTheirSizeCompressionAndBrightness) {
  const TestFolder folder;
  Dataset dataset = synthetic_dataset(3, "train", 40);
  const auto add = [&](const std::string& name, const Image& image) {
    save_image(folder / name, image, 60);
    dataset.examples.push_back({folder / name, {}, 0, {}, 0, 0, name});
  };
  const Image first = load_example(dataset.examples[0]).image;
  add("again.jpg", first);                                                                      // 40
  add("small.png", apply_letterbox(first, make_stretch(first.width, first.height, 200, 150)));  // 41
  add("bright.png", blended(first, 0.9, 30));                                                   // 42
  const Image other = load_example(dataset.examples[7]).image;
  add("x.png", other);  // 43
  write_file(folder / "y.png", read_file(folder / "x.png"));
  dataset.examples.push_back({folder / "y.png", {}, 0, {}, 0, 0, "y"});  // 44
  dataset.examples.erase(dataset.examples.begin() + 7);
  const std::vector<PictureLook> looks = look_at(dataset, 2);
  std::vector<const PictureLook*> all;
  for (const PictureLook& look : looks) all.push_back(&look);
  const std::vector<SimilarGroup> groups = find_similar(all, 2);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].pictures, (std::vector<size_t>{0, 39, 40, 41}));
  EXPECT_FALSE(groups[0].identical);
  EXPECT_EQ(groups[1].pictures, (std::vector<size_t>{42, 43}));
  EXPECT_TRUE(groups[1].identical);
}

// Red small things and blue large ones; one red small thing is called blue.
TEST(Suspicious, AWrongLabelIsTheFirstSuspectAndItsClassIsGuessed) {
  Rng rng(5);
  std::vector<Example> pictures(20);
  std::vector<PictureLook> looks(20);
  for (size_t i = 0; i < 20; ++i) {
    for (const int class_id : {0, 1}) {
      pictures[i].objects.push_back({{0, 0, 1, 1}, class_id, false, false, 1});
      const double side = class_id == 0 ? -3 : -1, red = class_id == 0 ? 60 : -60;
      looks[i].objects.push_back(
          {{side + 0.2 * rng.normal(), side + 0.2 * rng.normal(), 5 * rng.normal(), red + 10 * rng.normal(), 0, 20}});
    }
  }
  pictures[13].objects[0].class_id = 1;
  std::vector<const Example*> examples;
  std::vector<const PictureLook*> all;
  for (size_t i = 0; i < 20; ++i) examples.push_back(&pictures[i]), all.push_back(&looks[i]);
  const std::vector<Suspect> suspects = find_suspects(examples, all, 3, 5);
  ASSERT_EQ(suspects.size(), 5u);
  EXPECT_EQ(suspects[0].picture, 13u);
  EXPECT_EQ(suspects[0].object, 0u);
  EXPECT_EQ(suspects[0].likely_class, 0);
  EXPECT_GT(suspects[0].distance, 2 * suspects[1].distance);
}

// Looks as a fixed camera leaves them: one picture with a little noise, so that nearly every pair is near.
std::vector<PictureLook> one_place(size_t count, uint64_t seed) {
  Rng rng(seed);
  PictureLook place;
  for (uint8_t& cell : place.thumb) cell = static_cast<uint8_t>(rng.integer(20, 230));
  place.hash = rng.next();
  std::vector<PictureLook> looks(count, place);
  for (PictureLook& look : looks) {
    for (uint8_t& cell : look.thumb) cell = static_cast<uint8_t>(cell + rng.integer(-3, 3));
    look.hash ^= uint64_t{1} << rng.integer(0, 63);
  }
  return looks;
}

std::vector<const PictureLook*> pointers_to(const std::vector<PictureLook>& looks) {
  std::vector<const PictureLook*> all;
  for (const PictureLook& look : looks) all.push_back(&look);
  return all;
}

// Groups by hand: every pair is compared, and a group takes in what is near one of its members.
TEST(Similar, GroupsAreThoseOfEveryPairWhateverTheThreads) {
  std::vector<PictureLook> looks;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    for (const PictureLook& look : one_place(1 + seed * 3 % 7, seed)) looks.push_back(look);
  }
  Rng(3).shuffle(looks);
  std::vector<size_t> group(looks.size());
  for (size_t i = 0; i < looks.size(); ++i) group[i] = i;
  for (size_t round = 0; round < looks.size(); ++round) {
    for (size_t i = 0; i < looks.size(); ++i) {
      for (size_t k = 0; k < looks.size(); ++k) {
        if (is_near(looks[i], looks[k])) group[i] = group[k] = std::min(group[i], group[k]);
      }
    }
  }
  std::map<size_t, std::vector<size_t>> want;
  for (size_t i = 0; i < looks.size(); ++i) want[group[i]].push_back(i);
  std::erase_if(want, [](const auto& one) { return one.second.size() < 2; });
  ASSERT_GT(want.size(), 5u);
  for (const int threads : {1, 2, 5}) {
    const std::vector<SimilarGroup> found = find_similar(pointers_to(looks), threads);
    ASSERT_EQ(found.size(), want.size());
    auto next = want.begin();
    for (const SimilarGroup& one : found) EXPECT_EQ(one.pictures, (next++)->second);
  }
}

// 200 million pairs, nearly all of them near: a look at each thumbnail would take minutes.
TEST(Similar, ManyFramesOfOneCameraAreOneGroup) {
  const std::vector<PictureLook> looks = one_place(20'000, 1);
  const std::vector<SimilarGroup> found = find_similar(pointers_to(looks), 0);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].pictures.size(), looks.size());
}

}  // namespace
}  // namespace yolov3
