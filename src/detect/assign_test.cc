#include "detect/assign.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "detect/golden_test.h"

namespace yolov3 {
namespace {

std::vector<Head> yolov3_heads(int width, int height, int classes) {
  const std::vector<std::vector<Anchor>> anchors = {
      {{10, 13}, {16, 30}, {33, 23}}, {{30, 61}, {62, 45}, {59, 119}}, {{116, 90}, {156, 198}, {373, 326}}};
  std::vector<Head> heads;
  for (int i = 0; i < 3; ++i) {
    const int stride = 8 << i;
    heads.push_back({i, classes, anchors[static_cast<size_t>(i)], 1.0f, height / stride, width / stride,
                     static_cast<float>(stride), static_cast<float>(stride)});
  }
  return heads;
}

Annotation object(float x0, float y0, float x1, float y1, int class_id = 0) {
  return {{x0, y0, x1, y1}, class_id, false, false, (x1 - x0) * (y1 - y0)};
}

std::vector<double> xywh(const Box& box) {
  return {0.5 * (double{box.x0} + box.x1), 0.5 * (double{box.y0} + box.y1), double{box.x1} - box.x0,
          double{box.y1} - box.y0};
}

TEST(Assign, EqualsTheNotes) {
  for (int k = 0; k < 6; ++k) {
    SCOPED_TRACE(k);
    const std::string group = "assign/" + std::to_string(k);
    const int size = static_cast<int>(golden_number(group, "input_size"));
    const GoldenArray boxes = golden_array(group + "/boxes");
    std::vector<Annotation> objects;
    for (int64_t i = 0; i < boxes.rows(); ++i) {
      const double* b = boxes.row(i);
      objects.push_back(object(static_cast<float>(b[0]), static_cast<float>(b[1]), static_cast<float>(b[2]),
                               static_cast<float>(b[3]), static_cast<int>(b[4])));
    }
    const int classes = static_cast<int>(golden_number(group, "num_classes"));
    const Targets targets = assign({objects}, yolov3_heads(size, size, classes));

    std::vector<std::pair<std::vector<double>, std::vector<double>>> got, want;  // cell, its box
    for (const Assignment& p : targets.positives) {
      const Annotation& truth = objects[static_cast<size_t>(p.object)];
      got.push_back({{1.0 * p.head, 1.0 * p.gy, 1.0 * p.gx, 1.0 * p.anchor, 1.0 * truth.class_id}, xywh(truth.box)});
    }
    std::sort(got.begin(), got.end());
    const GoldenArray cells = golden_array(group + "/cells"), cell_xywh = golden_array(group + "/cell_xywh");
    for (int64_t i = 0; i < cells.rows(); ++i) {
      want.push_back({{cells.row(i), cells.row(i) + 5}, {cell_xywh.row(i), cell_xywh.row(i) + 4}});
    }
    EXPECT_EQ(got, want);

    for (size_t head = 0; head < 3; ++head) {
      std::vector<double> ignored;
      for (const int i : targets.true_objects[head][0]) {
        const std::vector<double> box = xywh(objects[static_cast<size_t>(i)].box);
        ignored.insert(ignored.end(), box.begin(), box.end());
      }
      EXPECT_EQ(ignored, golden_array(group + "/true_boxes_" + std::to_string(head)).values) << "head " << head;
    }
  }
}

// 10x13 in the centre of cell (5,5) of stride 8 is the first anchor exactly; 16x30 overlaps it 130/480 < 0.3 and
// 33x23 by 130/759.
TEST(Assign, AnExactAnchorInACellCentre) {
  const Targets targets = assign({{}, {object(39, 37.5, 49, 50.5)}}, yolov3_heads(416, 416, 1));
  EXPECT_EQ(targets.positives, (std::vector<Assignment>{{1, 0, 0, 5, 5, 0}}));
  EXPECT_EQ(targets.true_objects[0], (std::vector<std::vector<int>>{{}, {0}}));
  EXPECT_EQ(targets.true_objects[1], (std::vector<std::vector<int>>{{}, {}}));
}

// The notes' rule D10: the same box at the corner of its cell has IoU 0.262 with that anchor, and no other is better.
TEST(Assign, BestAnchorOfAllWhenNoneIsPositive) {
  const std::vector<std::vector<Annotation>> objects = {{object(35, 33.5, 45, 46.5)}};
  const Targets targets = assign(objects, yolov3_heads(416, 416, 1));
  EXPECT_EQ(targets.positives, (std::vector<Assignment>{{0, 0, 0, 5, 5, 0}}));
  EXPECT_TRUE(assign(objects, yolov3_heads(416, 416, 1), {.best_of_all = false}).positives.empty());
}

TEST(Assign, ALaterObjectOverwritesButBothAreIgnored) {
  const Targets targets =
      assign({{object(39, 37.5, 49, 50.5, 1), object(39, 37.5, 49, 50.5, 2)}}, yolov3_heads(416, 416, 3));
  EXPECT_EQ(targets.positives, (std::vector<Assignment>{{0, 0, 0, 5, 5, 1}}));
  EXPECT_EQ(targets.true_objects[0][0], (std::vector<int>{0, 1}));
}

TEST(Assign, NonSquareNetUsesItsOwnRowsAndColumns) {
  const Targets targets = assign({{object(599, 5, 607, 19)}}, yolov3_heads(608, 352, 1));
  for (const Assignment& p : targets.positives) {
    EXPECT_EQ(p.gx, 603 / (8 << p.head));
    EXPECT_EQ(p.gy, 12 / (8 << p.head));
  }
  EXPECT_FALSE(targets.positives.empty());
}

// D7: a centre on the right border labelled the left side of the picture, or crashed.
TEST(Assign, RefusesObjectsWithoutAreaOrOutside) {
  for (const Annotation& bad : {object(10, 10, 10, 20), object(20, 10, 10, 20), object(-30, 10, 10, 20),
                                object(412, 10, 420, 20), object(10, 412, 20, 420), object(NAN, 10, 20, 20)}) {
    EXPECT_THROW(assign({{bad}}, yolov3_heads(416, 416, 1)), Error);
  }
}

TEST(Assign, TenThousandObjectsAreFast) {
  Rng rng(7);
  std::vector<Annotation> objects;
  for (int i = 0; i < 10000; ++i) {
    const auto x = static_cast<float>(rng.uniform(0, 400)), y = static_cast<float>(rng.uniform(0, 400));
    objects.push_back(object(x, y, x + 10, y + 14));
  }
  const auto start = std::chrono::steady_clock::now();
  const Targets targets = assign({objects}, yolov3_heads(416, 416, 1));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 2.0);
  size_t ignored = 0;
  for (const auto& head : targets.true_objects) ignored += head[0].size();
  EXPECT_GE(ignored, objects.size());
}

}  // namespace
}  // namespace yolov3
