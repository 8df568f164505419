#include "net/cfg.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "base/shared_folder.h"
#include "net/builder.h"
#include "net/models.h"

namespace yolov3 {
namespace {

const std::string kNet = "[net]\nwidth=64\nheight=32\nchannels=3\n";
const std::string kConv = "[convolutional]\nfilters=18\nsize=3\npad=1\nactivation=leaky\n";
const std::string kYolo = "[yolo]\nmask=0,1,2\nanchors=1,2, 3,4, 5,6\nclasses=1\nnum=3\n";

std::string error_of(const std::string& text) {
  try {
    parse_cfg(text, "a.cfg");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void expect_error(const std::string& text, const std::vector<std::string>& parts) {
  const std::string message = error_of(text);
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << "\n in " << message;
}

NetworkSpec layers(const std::string& text) { return parse_cfg(kNet + text, "a.cfg").spec; }

TEST(Cfg, ReadsEveryLayerKind) {
  const NetworkSpec spec = layers(
      "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=mish\n"  // 0
      "[conv]\nfilters=8\nsize=5\npadding=1\ngroups=4\nactivation=swish\n"                         // 1
      "[maxpool]\nstride=2\n"                                                       // 2: size 2, padding 1
      "[maxpool]\nsize=3\nstride=1\npadding=0\n"                                    // 3
      "[route]\nlayers=-1, 3\ngroups=2\ngroup_id=1\n"                               // 4
      "[dropout]\nprobability=.25\n"                                                // 5
      "[upsample]\n"                                                                // 6: stride 2
      "[avgpool]\n"                                                                 // 7
      "[scale_channels]\nfrom=6\nactivation=logistic\n"                             // 8
      "[shortcut]\nfrom=-3\nactivation=relu\n"                                      // 9
      "[convolutional]\nfilters=14\nactivation=linear\n"                            // 10
      "[yolo]\nmask=1,0\nanchors=1.5,2, 3,4\nnum=2\nclasses=2\nscale_x_y=1.05\n");  // 11
  NetworkBuilder net({3, 32, 64});
  net.conv(8, 3, 2, Activation::mish)
      .add(Conv{.filters = 8, .size = 5, .padding = 1, .groups = 4, .activation = Activation::swish}, {0})
      .maxpool(2, 2)
      .add(MaxPool{3, 1, 0}, {2})
      .route({3, 3}, 2, 1)
      .dropout(0.25f)
      .upsample(2)
      .avgpool()
      .scale_channels(6, Activation::logistic)
      .shortcut(6, Activation::relu)
      .conv(14, 1, 1, Activation::linear, false)
      .yolo({{1.5f, 2}, {3, 4}}, {1, 0}, 2, 1.05f);
  EXPECT_EQ(spec, net.build());
  EXPECT_EQ(spec.layers[2].out, (LayerShape{8, 7, 15}));  // conv 5 with padding 1: 16x32 -> 14x30
}

TEST(Cfg, TextThatPeopleWrite) {
  const NetworkSpec plain = layers(kConv + kYolo);
  const std::string messy =
      "\xEF\xBB\xBF# a comment\r\n; another\r\n\r\n  [network]\r\n width = 64 \r\nheight\t=\t32 # pixels\r\n"
      "batch=1\r\nbatch=64\r\n\r\n[ convolutional ]\r\nfilters=+18\r\nsize=3\r\npad=1\r\nactivation=leaky;end\r\n"
      "filters=18\r\n[yolo]\r\nmask = 0, 1,2\r\nanchors = 1,2,  3,4,5 ,6.0\r\nclasses=1\r\nnum=3\r\njitter=.3";
  EXPECT_NE(error_of(messy).find("a.cfg:15: [convolutional] filters is '18' here, but '+18' in line 11"),
            std::string::npos)
      << error_of(messy);
  std::string mended = messy;
  mended.erase(mended.find("+18"), 1);
  const ParsedCfg parsed = parse_cfg(mended, "a.cfg");
  EXPECT_EQ(parsed.spec, plain);
  EXPECT_EQ(parsed.training_keys, (std::map<std::string, std::string>{{"net.batch", "1"}, {"yolo.jitter", ".3"}}));
}

TEST(Cfg, MessagesSayWhereAndWhat) {
  expect_error("", {"a.cfg", "empty"});
  expect_error("[net]\nwidth=32\nheight=32\n", {"a.cfg:1:", "no layer"});
  expect_error("width=32\n", {"a.cfg:1:", "before the first section"});
  expect_error(kConv, {"a.cfg:1:", "begins with [net]"});
  expect_error("[net]\nwidth=32\n" + kConv, {"a.cfg:1:", "no height"});
  expect_error(kNet + "nonsense\n", {"a.cfg:5:", "'nonsense'"});
  expect_error(kNet + "[maxpool\n", {"a.cfg:5:", "[section]"});
  expect_error(kNet + "momentun=3\n" + kConv, {"a.cfg:5:", "did you mean momentum?"});
  expect_error(kNet + kConv + "strid=2\n", {"a.cfg:10:", "did you mean stride?"});
  expect_error(kNet + "[convolutionall]\n", {"a.cfg:5:", "did you mean convolutional?"});
  expect_error(kNet + "[region]\n", {"a.cfg:5:", "'region'", "layers are"});
  expect_error(kNet + "[conv]\nfilters=3\nactivation=leeky\n", {"a.cfg:7:", "did you mean leaky?"});
  expect_error(kNet + "[conv]\nfilters=3\n", {"a.cfg:5:", "no activation"});
  expect_error(kNet + kConv + "dilation=2\n", {"a.cfg:10:", "dilation='2'"});
  expect_error(kNet + kConv + "stride_x=2\n", {"a.cfg:10:", "same on both axes"});
  expect_error(kNet + kConv + "stride=2.5\n", {"a.cfg:10:", "whole number"});
  expect_error(kNet + kConv + "[shortcut]\nfrom=-2\n", {"a.cfg:11:", "layer -2", "0 to 0"});
  expect_error(kNet + kConv + "[route]\nlayers=1\n", {"a.cfg:11:", "layer 1"});
  expect_error(kNet + kConv + "[shortcut]\nfrom=0,0\n", {"a.cfg:11:", "2 layers"});
  expect_error(kNet + "[maxpool]\nsize=2\nstride=2\n" + kConv + "[shortcut]\nfrom=9\n", {"a.cfg:14:"});
}

// dontload and the like change which numbers stand in the .weights beside the cfg.
TEST(Cfg, KeysThatChangeTheWeightsFileAreRefused) {
  for (const std::string key : {"dontload", "dontloadscales", "dontsave"}) {
    expect_error(kNet + kConv + key + "=1\n", {"a.cfg:10:", key + "='1'", "variant of Darknet"});
    EXPECT_EQ(layers(kConv + key + "=0\n"), layers(kConv));
    EXPECT_NO_THROW(layers(kConv + "[upsample]\n" + key + "=1\n")) << "nothing to load there";
  }
}

TEST(Cfg, HeadsOfOtherClassCountsNameTheFile) {
  const std::string other =
      "[route]\nlayers=0\n[conv]\nfilters=21\nactivation=linear\n[yolo]\nmask=0,1,2\nanchors=1,2, "
      "3,4, 5,6\nclasses=2\nnum=3\n";
  expect_error(kNet + kConv + kYolo + other, {"a.cfg: ", "1 classes", "2: all heads need the same"});
}

TEST(Cfg, HeadsMustFitTheirConvolution) {
  std::string wrong = kConv;
  wrong.replace(wrong.find("18"), 2, "21");
  expect_error(kNet + wrong + kYolo, {"a.cfg:10:", "(1 + 5) * 3 = 18", "has 21", "set its filters to 18"});
  std::string yolo = kYolo;
  yolo.replace(yolo.find("num=3"), 5, "num=9");
  expect_error(kNet + kConv + yolo, {"a.cfg:12:", "num=9", "18 numbers", "there are 6"});
  expect_error(kNet + kConv + "[yolo]\nmask=0,1,3\nanchors=1,2, 3,4, 5,6\nclasses=1\nnum=3\n", {"anchor 3"});
}

TEST(Cfg, AbsurdSizesAreRefused) {
  expect_error("[net]\nwidth=1000000000\nheight=32\n" + kConv, {"a.cfg:2:", "1 to 16384"});
  expect_error("[net]\nwidth=99999999999999999999\nheight=32\n" + kConv, {"a.cfg:2:"});
  expect_error("[net]\nwidth=16384\nheight=16384\nchannels=64\n" + kConv, {"a.cfg:1:", "elements"});
  expect_error("[net]\nwidth=16384\nheight=16384\n" + kConv, {"a.cfg:4:", "elements"});
  expect_error(kNet + "[conv]\nfilters=2000000000\nactivation=linear\n", {"a.cfg:6:", "filters"});
  expect_error(kNet + "[conv]\nfilters=65536\nsize=129\npad=1\nactivation=linear\n", {"a.cfg:5:", "parameters"});
  expect_error(kNet + "[upsample]\nstride=16384\n", {"a.cfg:5:"});
  expect_error(kNet + "[route]\nlayers=-99999999999\n", {"a.cfg:6:"});
  std::string many = kNet;
  for (int i = 0; i < 10'001; ++i) many += "[dropout]\n";
  expect_error(many, {"more than 10000 layers"});
  std::string keys = kNet;
  for (int i = 0; i < 1000; ++i) keys += "batch=1\n";
  expect_error(keys + kConv, {"keys in one section"});
  std::string numbers = kNet + kConv + "[route]\nlayers=0";
  for (int i = 0; i < 5000; ++i) numbers += ",0";
  expect_error(numbers, {"5001 numbers"});
}

TEST(Cfg, WrittenAndReadIsTheSame) {
  std::vector<NetworkSpec> specs = {yolov3(), yolov3_spp({.classes = 7, .width = 608, .height = 320, .anchors = {}}),
                                    yolov3_tiny(), darknet53()};
  specs.push_back(
      yolov3_tiny({.classes = 2, .anchors = {{1.1f, 2.7f}, {3, 1e-3f}, {1.0f / 3, 5}, {6, 7}, {8, 9}, {1e5f, 2}}}));
  specs.push_back(layers(kConv +
                         "[route]\nlayers=-1\ngroups=3\ngroup_id=2\n[dropout]\nprobability=0.1\n[avgpool]\n"
                         "[scale_channels]\nfrom=1\n[maxpool]\nsize=3\nstride=2\npadding=3\n[conv]\nfilters=12\n"
                         "size=3\npadding=2\ngroups=3\nactivation=mish\n[upsample]\nstride=3\n"
                         "[yolo]\nmask=1\nanchors=1,2,3,4\nnum=2\nclasses=7\nscale_x_y=1.1\n"));
  specs[0].bn_epsilon = 1e-3f;
  for (const NetworkSpec& spec : specs) {
    const std::string text = write_cfg(spec);
    EXPECT_EQ(parse_cfg(text, "a.cfg").spec, spec) << text;
    EXPECT_EQ(write_cfg(parse_cfg(text, "a.cfg").spec), text);
  }
  EXPECT_NE(write_cfg(specs[0]).find("bn_epsilon=0.001\n"), std::string::npos);
  EXPECT_EQ(write_cfg(specs[2]).find("bn_epsilon"), std::string::npos);
  specs[1].layers[4].out.channels += 1;
  EXPECT_THROW(write_cfg(specs[1]), Error);
}

// Text that was cut, scrambled or made up either is a valid network or gives an Error that names the file.
void expect_error_or_network(const std::string& text) {
  try {
    check_spec(parse_cfg(text, "a.cfg").spec);
  } catch (const Error& error) {
    EXPECT_TRUE(std::string_view(error.what()).starts_with("a.cfg:")) << error.what();
  }
}

TEST(Cfg, CutAndScrambledText) {
  const std::string text = write_cfg(yolov3_tiny());
  for (size_t part = 0; part < 16; ++part) expect_error_or_network(text.substr(0, text.size() * part / 16));
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    std::string scrambled = text;
    for (int i = 0; i < 20; ++i) {
      const auto at = static_cast<size_t>(rng.integer(0, static_cast<int64_t>(text.size()) - 1));
      scrambled[at] =
          seed % 2 == 0 ? static_cast<char>(rng.integer(0, 255)) : text[static_cast<size_t>(rng.integer(0, 300))];
    }
    expect_error_or_network(scrambled);
  }
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    std::string noise(2000, '\0');
    for (char& c : noise) c = static_cast<char>(rng.integer(0, 255));
    expect_error_or_network(noise);
    expect_error_or_network(kNet + noise);
  }
  expect_error_or_network(std::string(17 << 20, '#'));
  expect_error_or_network("[net]\nwidth=" + std::string(1 << 20, '9'));
}

TEST(Cfg, RealDetectors) {
  const std::filesystem::path folder = test::shared_folder() / "weights";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no shared weights at " << folder;
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".cfg") continue;
    const NetworkSpec spec = parse_cfg(read_file(entry.path()), entry.path().filename()).spec;
    EXPECT_EQ(parse_cfg(write_cfg(spec), "written").spec, spec) << entry.path();
    EXPECT_GE(heads(spec).size(), 1u);
    ++count;
  }
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace yolov3
