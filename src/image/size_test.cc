#include "image/size.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/files.h"
#include "base/shared_folder.h"
#include "image/test_pictures.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

class Size : public ::testing::Test {
 protected:
  void SetUp() override { make_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path file(const std::string& bytes) const {
    write_file(folder_ / "a", bytes);
    return folder_ / "a";
  }
  const fs::path folder_ = fs::temp_directory_path() / ("yolov3_size_" + std::to_string(::getpid()));
};

std::string jpeg(int orientation, size_t junk = 0) {
  test::JpegKnobs knobs;
  knobs.app1 = test::exif_app1(orientation);
  std::string bytes = test::jpeg_file(40, 24, test::smooth_picture(40, 24).rgb, knobs);
  std::string comment;  // markers of comments in front of everything
  for (size_t left = junk; left > 0;) {
    const size_t part = std::min<size_t>(left, 60'000);
    comment += std::string("\xFF\xFE") + static_cast<char>((part + 2) >> 8) + static_cast<char>((part + 2) & 255) +
               std::string(part, 'x');
    left -= part;
  }
  return bytes.insert(2, comment);
}

std::string png(const test::PngKnobs& knobs = {}) {
  return test::png_file(40, 24, test::rows_of(test::smooth_picture(40, 24)), knobs);
}

TEST_F(Size, OfJpegsIsUprightWhateverStandsInFront) {
  EXPECT_EQ(read_picture_size(file(jpeg(1))), (PictureSize{40, 24}));
  EXPECT_EQ(read_picture_size(file(jpeg(6))), (PictureSize{24, 40}));
  EXPECT_EQ(read_picture_size(file(jpeg(8, 300'000))), (PictureSize{24, 40})) << "a header longer than the first read";
  const std::string whole = jpeg(6);
  EXPECT_EQ(read_picture_size(file(whole.substr(0, whole.size() - 100))), (PictureSize{24, 40}))
      << "the pixels are cut";
  EXPECT_THROW(read_picture_size(file(whole.substr(0, 30))), Error);
}

TEST_F(Size, OfPngsIsUpright) {
  EXPECT_EQ(read_picture_size(file(png())), (PictureSize{40, 24}));
  EXPECT_EQ(read_picture_size(file(png({.exif = test::exif_tiff(6)}))), (PictureSize{24, 40}));
  EXPECT_EQ(read_picture_size(file(png({.text_key = "Software", .text = "x"}))), (PictureSize{40, 24}));
  const std::string whole = png();
  EXPECT_THROW(read_picture_size(file(whole.substr(0, whole.size() - 20))), Error) << "no end: decoded, and refused";
}

TEST_F(Size, OfWhatIsNoPictureIsAnError) {
  EXPECT_THROW(read_picture_size(folder_ / "none"), Error);
  EXPECT_THROW(read_picture_size(folder_), Error);
  EXPECT_THROW(read_picture_size(file("")), Error);
  EXPECT_THROW(read_picture_size(file("no picture")), Error);
}

// The truth is the decoder.
TEST_F(Size, OfDifficultPicturesIsThatOfTheDecoder) {
  const fs::path folder = test::shared_folder() / "data/hard-images";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not there (set YOLOV3_SHARED)";
  int compared = 0;
  for (const fs::path& path : list_files(folder)) {
    LoadedImage loaded;
    try {
      loaded = load_image(path);
    } catch (const Error&) {  // a broken one may have a size all the same
      continue;
    }
    EXPECT_EQ(read_picture_size(path), (PictureSize{loaded.full_width, loaded.full_height})) << path;
    ++compared;
  }
  EXPECT_GE(compared, 15);
}

}  // namespace
}  // namespace yolov3
