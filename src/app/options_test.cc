#include "app/options.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "app/test_folder.h"
#include "base/error.h"
#include "base/rng.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

struct Values {
  float conf = 0.25f;
  int batch = 8;
  uint64_t seed = 0;
  double lr0 = 1e-3;
  bool letterbox = true, resume = false;
  std::string model = "yolov3", engine = "auto";
  fs::path weights;
  std::vector<int> multi_scale;
  std::vector<double> balance;
  std::vector<std::string> classes;
  ImageSize imgsz{416, 416};
  std::vector<double> shares;
  int copies = 2;

  bool operator==(const Values&) const = default;
};

// A command with an option of every kind.
struct Fixture {
  Values values;
  Options options{"train", "trains a detector"};

  Fixture() {
    options.example("yolov3 train --data synthetic", "trains on built-in pictures");
    options.add("conf", &values.conf, "lowest score").alias("thresh").range(0, 1);
    options.add("batch", &values.batch, "pictures a step").range(1, 1024);
    options.add("seed", &values.seed, "of all random numbers");
    options.group("Schedule");
    options.add("lr0", &values.lr0, "highest learning rate").range(0, 10);
    options.add("letterbox", &values.letterbox, "keep the aspect ratio");
    options.add("resume", &values.resume, "go on").unrecorded();
    options.add("model", &values.model, "the network");
    options.add("engine", &values.engine, "what computes").choices({"auto", "torch"});
    options.add("weights", &values.weights, "start from these").placeholder("FILE");
    options.add("multi-scale", &values.multi_scale, "square sizes");
    options.add("balance", &values.balance, "weights").range(0, 10);
    options.add("classes", &values.classes, "only these");
    options.add("imgsz", &values.imgsz, "network input");
    options.add("shares", &values.shares, "of the run").range(0, 1);
    options.add("copies", &values.copies, "how many").range(1, 9).word("auto", -1);
  }

  std::string error_of(const std::vector<std::string>& arguments) {
    try {
      options.parse(arguments);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::usage);
      return error.what();
    }
    return "no error";
  }
};

class OptionsFile : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }
  std::string file(const std::string& text) {
    std::ofstream(folder_ / "args.toml", std::ios::binary) << text;  // many: without write_file's flush to the disk
    return (folder_ / "args.toml").string();
  }
  fs::path folder_ = make_test_folder("options");
};

TEST(Options, AcceptsEverySpelling) {
  for (const std::vector<std::string>& line :
       std::vector<std::vector<std::string>>{{"--batch", "4"}, {"--batch=4"}, {"batch=4"}, {"-batch", "4"}}) {
    Fixture f;
    EXPECT_TRUE(f.options.parse(line));
    EXPECT_EQ(f.values.batch, 4);
    EXPECT_TRUE(f.options.was_given("batch"));
    EXPECT_FALSE(f.options.was_given("conf"));
  }
  Fixture f;
  EXPECT_TRUE(f.options.parse({"-thresh", "0.5", "multi_scale=320,416", "--weights=a=b.h5", "--model", "x y.cfg",
                               "--imgsz", "608x352", "--classes", "dog, traffic light"}));
  EXPECT_EQ(f.values.conf, 0.5f);
  EXPECT_EQ(f.values.multi_scale, (std::vector<int>{320, 416}));
  EXPECT_EQ(f.values.weights, "a=b.h5");
  EXPECT_EQ(f.values.model, "x y.cfg");
  EXPECT_EQ(f.values.imgsz, (ImageSize{608, 352}));
  EXPECT_EQ(f.values.classes, (std::vector<std::string>{"dog", "traffic light"}));
}

TEST(Options, FlagsAreBareOrHaveAWord) {
  const auto letterbox = [](const std::vector<std::string>& line) {
    Fixture f;
    EXPECT_TRUE(f.options.parse(line));
    return f.values.letterbox;
  };
  EXPECT_TRUE(letterbox({"--letterbox"}));
  EXPECT_TRUE(letterbox({"--letterbox", "--resume"}));
  EXPECT_FALSE(letterbox({"--letterbox", "false"}));
  EXPECT_FALSE(letterbox({"--letterbox=0"}));
  EXPECT_FALSE(letterbox({"letterbox=off"}));
  EXPECT_FALSE(letterbox({"--no-letterbox"}));
}

TEST(Options, LastOneWins) {
  Fixture f;
  EXPECT_TRUE(f.options.parse({"--conf", "0.1", "--thresh", "0.2"}));
  EXPECT_EQ(f.values.conf, 0.2f);
}

TEST(Options, UnknownOnesAreErrorsWithTheNearest) {
  EXPECT_EQ(Fixture().error_of({"--bacth", "4"}), "train has no option --bacth; did you mean --batch?");
  EXPECT_EQ(Fixture().error_of({"bacth=4"}),
            "unexpected \"bacth=4\": train takes options only, as --key value or key=value; did you mean --batch?");
  EXPECT_EQ(Fixture().error_of({"--qqqqqqqqqq"}), "train has no option --qqqqqqqqqq; see yolov3 train --help");
  EXPECT_NE(Fixture().error_of({"picture.jpg"}).find("unexpected \"picture.jpg\""), std::string::npos);
  EXPECT_NE(Fixture().error_of({"--no-batch"}).find("no option --no-batch"), std::string::npos);
  EXPECT_NE(Fixture().error_of({"---batch", "4"}).find("no option ---batch"), std::string::npos);
  EXPECT_NE(Fixture().error_of({"--"}).find("no option --"), std::string::npos);
  EXPECT_NE(Fixture().error_of({""}).find("unexpected \"\""), std::string::npos);
}

TEST(Options, ValuesAreChecked) {
  EXPECT_EQ(Fixture().error_of({"--conf", "2"}), "--conf: expected a number from 0 to 1, got \"2\"");
  EXPECT_EQ(Fixture().error_of({"--thresh", "nan"}), "--thresh: expected a number from 0 to 1, got \"nan\"");
  EXPECT_EQ(Fixture().error_of({"--batch", "2.5"}), "--batch: expected a whole number from 1 to 1024, got \"2.5\"");
  EXPECT_EQ(Fixture().error_of({"--batch", "99999999999999999999"}),
            "--batch: expected a whole number from 1 to 1024, got \"99999999999999999999\"");
  EXPECT_EQ(Fixture().error_of({"--seed", "-1"}), "--seed: expected a whole number of at least 0, got \"-1\"");
  EXPECT_EQ(Fixture().error_of({"--letterbox=maybe"}), "--letterbox: expected true or false, got \"maybe\"");
  EXPECT_EQ(Fixture().error_of({"--engine", "touch"}),
            "--engine: expected one of auto, torch, got \"touch\"; did you mean torch?");
  EXPECT_EQ(Fixture().error_of({"--multi-scale", "320,x"}), "--multi-scale: expected a whole number, got \"x\"");
  EXPECT_EQ(Fixture().error_of({"--balance", "1,-1"}), "--balance: expected a number from 0 to 10, got \"-1\"");
  EXPECT_EQ(Fixture().error_of({"--conf"}), "--conf needs a value: --conf NUMBER");
  EXPECT_EQ(Fixture().error_of({"--weights", "--batch", "4"}), "--weights needs a value: --weights FILE");
}

TEST(Options, ImageSizesAreMultiplesOf32) {
  EXPECT_EQ(Fixture().error_of({"--imgsz", "400"}),
            "--imgsz: sides of the network input are multiples of 32 from 32 to 8192, got 400; the nearest is 416");
  EXPECT_NE(Fixture().error_of({"--imgsz", "416x100"}).find("got 100; the nearest is 96"), std::string::npos);
  EXPECT_NE(Fixture().error_of({"--imgsz", "-32"}).find("got -32; the nearest is 32"), std::string::npos);
  EXPECT_NE(Fixture().error_of({"--imgsz", "1x2x3"}).find("expected a size"), std::string::npos);
  EXPECT_NE(Fixture().error_of({"--imgsz", "x"}).find("expected a size"), std::string::npos);
  Fixture f;
  EXPECT_TRUE(f.options.parse({"--imgsz", "320X640"}));
  EXPECT_EQ(f.values.imgsz, (ImageSize{320, 640}));
}

TEST(Options, HelpShowsEveryOptionWithItsDefault) {
  Fixture f;
  EXPECT_FALSE(f.options.parse({"--batch", "4", "-h", "--nonsense"}));
  EXPECT_EQ(f.values.batch, 8) << "help sets nothing";
  const std::string help = f.options.help();
  for (const char* part : {"yolov3 train: trains a detector", "--conf NUMBER", "(also --thresh) [0.25]", "--lr0 NUMBER",
                           "[0.001]", "--letterbox true|false", "[true]", "--engine auto|torch", "--weights FILE",
                           "--imgsz S|WxH", "[416]", "Schedule", "--config FILE", "yolov3 train --data synthetic"}) {
    EXPECT_NE(help.find(part), std::string::npos) << part << "\n" << help;
  }
}

TEST_F(OptionsFile, ConfigIsReadAndTheCommandLineWins) {
  const std::string path = file("command = 'train'\nbatch = 4\nconf = 1\nlr_end_is_no_option_here = 1\n");
  EXPECT_NE(Fixture().error_of({"--config", path}).find("args.toml:4: train has no option lr-end-is-no-option-here"),
            std::string::npos);
  Fixture f;
  EXPECT_TRUE(f.options.parse(
      {"--batch", "2", "--config", file("batch = 4\nconf = 1\nmulti_scale = [320, 352]\nletterbox = false")}));
  EXPECT_EQ(f.values.batch, 2);
  EXPECT_EQ(f.values.conf, 1.0f);
  EXPECT_EQ(f.values.multi_scale, (std::vector<int>{320, 352}));
  EXPECT_FALSE(f.values.letterbox);
  EXPECT_TRUE(f.options.was_typed("batch"));
  EXPECT_TRUE(f.options.was_given("conf"));
  EXPECT_FALSE(f.options.was_typed("conf"));
}

TEST_F(OptionsFile, ConfigErrorsNameFileAndLine) {
  const auto error_of = [&](const std::string& text) { return Fixture().error_of({"--config", file(text)}); };
  EXPECT_NE(error_of("batch = 4\nbacth = 4").find("args.toml:2: train has no option bacth; did you mean batch?"),
            std::string::npos);
  EXPECT_NE(error_of("\n\nbatch = 'x'").find("args.toml:3: batch: expected a whole number from 1 to 1024, got \"x\""),
            std::string::npos);
  EXPECT_NE(error_of("command = 'eval'").find("args.toml:1: these are options of eval, not of train"),
            std::string::npos);
  EXPECT_NE(error_of("anchor-fit = 'shape'\ncommand = 'eval'").find("args.toml:2: these are options of eval, not of"),
            std::string::npos)
      << "whatever stands before it";
  EXPECT_NE(error_of("batch = = 4").find("args.toml:1: not TOML"), std::string::npos);
  EXPECT_NE(error_of("[batch]\nx = 1").find("args.toml:1: batch: expected a text"), std::string::npos);
  EXPECT_NE(error_of("multi-scale = [[1]]").find("lists hold plain values only"), std::string::npos);
  EXPECT_THROW(Fixture().options.parse({"--config", (folder_ / "none.toml").string()}), Error);
}

TEST_F(OptionsFile, ArgsTomlRepeatsARunExactly) {
  Fixture first;
  ASSERT_TRUE(first.options.parse({"--conf",
                                   "0.3",
                                   "--batch",
                                   "3",
                                   "--seed",
                                   "9007199254740993",
                                   "--lr0",
                                   "0.0012345678901234567",
                                   "--no-letterbox",
                                   "--model",
                                   "a \"quoted\" \\ model.cfg",
                                   "--weights",
                                   "old/best.h5",
                                   "--multi-scale",
                                   "320,352",
                                   "--classes",
                                   "traffic light,dog",
                                   "--balance",
                                   "4,1,0.4",
                                   "--imgsz",
                                   "608x352",
                                   "--resume"}));
  const std::string toml = first.options.to_toml();
  EXPECT_NE(toml.find("conf = 0.3\n"), std::string::npos) << toml;
  EXPECT_NE(toml.find("balance = [4,1,0.4]\n"), std::string::npos) << toml;
  EXPECT_NE(toml.find("command = "), std::string::npos);
  EXPECT_EQ(toml.find("\nresume"), std::string::npos) << "of this call only";
  Fixture second;
  ASSERT_TRUE(second.options.parse({"--config", file(toml)}));
  first.values.resume = false;
  EXPECT_TRUE(second.values == first.values) << toml << "\n" << second.options.to_toml();
  EXPECT_EQ(second.options.to_toml(), toml);
}

TEST_F(OptionsFile, WhatTomlCannotHoldIsRefused) {
  Fixture f;
  f.options.check_recordable();
  ASSERT_TRUE(f.options.parse({"--model", "donn\xe9\x65s.cfg"}));  // Latin-1
  try {
    f.options.check_recordable();
    FAIL() << "it would read back as another path";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("--model donn", 0), 0u) << error.what();
    EXPECT_NE(std::string(error.what()).find("not UTF-8"), std::string::npos) << error.what();
  }
}

TEST_F(OptionsFile, HostileConfigsAreErrors) {
  const std::string whole = Fixture().options.to_toml();
  for (size_t part = 0; part <= 16; ++part) {
    const std::string path = file(whole.substr(0, whole.size() * part / 16));
    Fixture f;
    try {
      f.options.parse({"--config", path});
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("args.toml:"), std::string::npos);
    }
  }
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    std::string bytes(static_cast<size_t>(rng.integer(1, 400)), '\0');
    for (char& byte : bytes) byte = static_cast<char>(rng.integer(0, 255));
    Fixture f;
    try {
      f.options.parse({"--config", file(bytes)});
    } catch (const Error&) {
    }
  }
  EXPECT_THROW(Fixture().options.parse({"--config", file("batch = " + std::string(100000, '['))}), Error);
  EXPECT_THROW(Fixture().options.parse({"--config", file(std::string((1 << 20) + 1, '#'))}), Error);
}

// fast: batch and lr0; careful: lr0 and an option that this command has not. So each of them says batch and lr0.
struct PresetFixture : Fixture {
  std::string preset = "usual";
  PresetFixture() {
    options.add_presets(&preset,
                        {{"usual", "as it is", {}},
                         {"fast", "for a look:", {{"batch", "64"}, {"lr0", "0.01"}}},
                         {"careful", "for a week:", {{"lr0", "0.0001"}, {"elsewhere", "1"}}}},
                        "several at once");
  }
};

TEST(Options, APresetSetsAndWhatIsTypedWins) {
  for (const std::vector<std::string>& line : std::vector<std::vector<std::string>>{
           {"--preset", "fast", "--batch", "2"}, {"--batch", "2", "--preset", "fast"}}) {
    PresetFixture f;
    EXPECT_TRUE(f.options.parse(line));
    EXPECT_EQ(f.values.batch, 2);
    EXPECT_EQ(f.values.lr0, 0.01);
    EXPECT_TRUE(f.options.was_typed("preset"));
    EXPECT_TRUE(f.options.was_typed("batch"));
    EXPECT_FALSE(f.options.was_given("lr0")) << "the user did not say it";
  }
  PresetFixture f;
  EXPECT_TRUE(f.options.parse({"--preset", "careful"}));
  EXPECT_EQ(f.values.batch, 8);
  EXPECT_EQ(f.values.lr0, 0.0001);
  EXPECT_NE(PresetFixture()
                .error_of({"--preset", "fats"})
                .find("expected one of usual, fast, careful, got \"fats\"; did "
                      "you mean fast?"),
            std::string::npos);
}

// Defaults, the config's preset, the config's options, the line's preset, the line's options.
TEST_F(OptionsFile, PresetsAndConfigsInTheirOrder) {
  const std::string path = file("lr0 = 0.5\npreset = 'fast'\nconf = 0.75\n");
  PresetFixture config;
  EXPECT_TRUE(config.options.parse({"--config", path}));
  EXPECT_EQ(config.values.batch, 64);
  EXPECT_EQ(config.values.lr0, 0.5);
  EXPECT_EQ(config.preset, "fast");
  PresetFixture other;
  EXPECT_TRUE(other.options.parse({"--config", path, "--preset", "careful"}));
  EXPECT_EQ(other.values.batch, 8) << "another preset takes the place of the first";
  EXPECT_EQ(other.values.lr0, 0.0001);
  EXPECT_EQ(other.values.conf, 0.75f) << "what no preset says stays the config's";
  PresetFixture usual;
  EXPECT_TRUE(usual.options.parse({"--preset", "usual", "--config", path, "--lr0", "0.25"}));
  EXPECT_EQ(usual.values.batch, 8);
  EXPECT_EQ(usual.values.lr0, 0.25);
  EXPECT_EQ(usual.preset, "usual");
  PresetFixture again;  // args.toml has the effective values
  EXPECT_TRUE(again.options.parse({"--config", file(other.options.to_toml())}));
  EXPECT_TRUE(again.values == other.values);
  EXPECT_EQ(again.preset, "careful");
}

TEST(Options, HelpSaysWhatEachPresetSets) {
  const std::string help = PresetFixture().options.help();
  for (const char* part : {"--preset usual|fast|careful", "several at once [usual]", "Presets", "fast    ",
                           "for a look: --batch 64 --lr0 0.01"}) {
    EXPECT_NE(help.find(part), std::string::npos) << part << "\n" << help;
  }
}

TEST(Options, RequireSaysWhatIsMissing) {
  Fixture f;
  try {
    f.options.require("weights", "the model, e.g. --weights best.h5");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "train needs --weights: the model, e.g. --weights best.h5");
  }
  EXPECT_NO_THROW(f.options.require("model", ""));
}

TEST(Options, AWordStandsForANumber) {
  Fixture f;
  EXPECT_TRUE(f.options.parse({"--copies", "auto"}));
  EXPECT_EQ(f.values.copies, -1);
  EXPECT_NE(f.options.to_toml().find("\ncopies = \"auto\"\n"), std::string::npos) << f.options.to_toml();
  EXPECT_NE(f.options.help().find("--copies N|auto"), std::string::npos);
  EXPECT_TRUE(f.options.parse({"--copies", "3"}));
  EXPECT_EQ(f.values.copies, 3);
  EXPECT_NE(f.options.to_toml().find("\ncopies = 3\n"), std::string::npos);
  EXPECT_EQ(f.error_of({"--copies", "-1"}), "--copies: expected auto or a whole number from 1 to 9, got \"-1\"");
  EXPECT_EQ(f.error_of({"--copies", "many"}), "--copies: expected auto or a whole number from 1 to 9, got \"many\"");
}

TEST(Options, ListsOfNumbers) {
  Fixture f;
  EXPECT_TRUE(f.options.parse({"--shares", "0.3, 1"}));
  EXPECT_EQ(f.values.shares, (std::vector<double>{0.3, 1}));
  EXPECT_NE(f.options.to_toml().find("\nshares = [0.3,1]\n"), std::string::npos) << f.options.to_toml();
  EXPECT_NE(f.error_of({"--shares", "0.3,2"}).find("--shares: expected a number from 0 to 1"), std::string::npos);
  Fixture again;
  again.options.parse_toml(f.options.to_toml(), "args.toml");
  EXPECT_EQ(again.values.shares, f.values.shares);
  EXPECT_THROW(again.options.parse_toml("sharse = [1]", "args.toml"), Error);
}

}  // namespace
}  // namespace yolov3
