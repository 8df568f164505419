// The report and the board in a browser: what is drawn, what is complained about, and how wide it is.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/board_server.h"
#include "app/report_page.h"
#include "app/test_browser.h"
#include "app/test_run_folder.h"
#include "base/files.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Browser::Screen kDesktop{1280, 900, false, false}, kDarkPhone{390, 844, true, true};

// Of each canvas: how many pixels are not the page's own, and in how many colours.
constexpr const char* kCanvases = R"(
  return [...document.querySelectorAll('canvas')].map((canvas) => {
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, colors = new Set();
    let drawn = 0;
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] < 200) continue;
      ++drawn;
      colors.add((data[i] >> 5) + ' ' + (data[i + 1] >> 5) + ' ' + (data[i + 2] >> 5));
    }
    return {title: canvas.getAttribute('aria-label'), drawn, colors: colors.size};
  });)";

// The bars and points whose colour is not that of their series.
constexpr const char* kWrongColors = R"(
  return [...document.querySelectorAll('canvas')].flatMap((canvas) => {
    const chart = Chart.getChart(canvas);
    return chart.data.datasets.flatMap((dataset, i) => chart.getDatasetMeta(i).data.filter(
        (element) => element.options && element.options.backgroundColor !== dataset.backgroundColor).map(
        (element) => chart.canvas.getAttribute('aria-label') + ' ' + element.options.backgroundColor));
  });)";

class SlowPage : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = Browser::missing();
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static void expect_drawn(Browser& browser, const std::vector<std::string>& titles) {
    std::vector<std::string> found;
    for (const json& canvas : browser.run(kCanvases)) {
      found.push_back(canvas["title"]);
      EXPECT_GT(canvas["drawn"], 300) << canvas["title"];  // a chart without its lines has but thin letters
      EXPECT_GE(canvas["colors"], 2) << canvas["title"];
    }
    EXPECT_EQ(found, titles);
    EXPECT_EQ(browser.complaints(), "");
  }
  static void expect_no_sideways_scrolling(Browser& browser, int width) {
    EXPECT_EQ(browser.run("return innerWidth"), width);
    EXPECT_EQ(browser.run("return document.documentElement.scrollWidth"), width);
    // What is wider stands in a box of its own that scrolls.
    EXPECT_EQ(browser.run(R"(
      const inside = (e) => e && (getComputedStyle(e).overflowX !== 'visible' || inside(e.parentElement));
      return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 &&
        !inside(e.parentElement)).map((e) => e.tagName + '.' + e.className).join(' '))"),
              "");
  }

  std::string write_report(const std::string& name, const std::vector<std::string>& names = {"cat", "dog"}) {
    write_test_run(folder_ / name, 5, names);
    write_file(folder_ / "report.html", run_page(folder_ / name));
    return "file://" + (folder_ / "report.html").string();
  }

  fs::path folder_ = make_test_folder("page");
  const std::vector<std::string> kReportCharts = {"Mean average precision",
                                                  "Precision and recall",
                                                  "Loss",
                                                  "Parts of the loss",
                                                  "Loss of each update",
                                                  "Learning rate",
                                                  "Speed",
                                                  "Waiting for pictures",
                                                  "Memory",
                                                  "Precision against recall",
                                                  "F1 against score",
                                                  "Precision against score",
                                                  "Recall against score",
                                                  "Is the score the truth?",
                                                  "Kinds of errors",
                                                  "Found by size",
                                                  "Objects of each class"};
};

TEST_F(SlowPage, ReportOnADesktop) {
  Browser browser(kDesktop);
  browser.open(write_report("exp"));
  expect_drawn(browser, kReportCharts);
  expect_no_sideways_scrolling(browser, 1280);
  EXPECT_EQ(browser.run("return document.querySelectorAll('.confusion tr').length"), 4);  // head, cat, dog, background
  browser.wait_for("[...document.images].every((i) => { i.loading = 'eager'; return i.complete; })");
  EXPECT_EQ(browser.run("return [...document.images].filter((i) => i.naturalWidth === 0).length"), 0);
  EXPECT_GT(browser.run("return document.images.length"), 10);
  EXPECT_EQ(browser.run("return getComputedStyle(document.body).backgroundColor"), "rgb(251, 251, 250)");
}

TEST_F(SlowPage, ReportOnAPhoneInTheDark) {
  Browser browser(kDarkPhone);
  browser.open(write_report("exp"));
  expect_drawn(browser, kReportCharts);
  expect_no_sideways_scrolling(browser, 390);
  EXPECT_EQ(browser.run("return getComputedStyle(document.body).backgroundColor"), "rgb(21, 24, 28)");
}

// They stayed grey in charts that have gaps.
TEST_F(SlowPage, BarsAndPointsHaveTheColorOfTheirSeriesInLightAndDark) {
  Browser browser(kDesktop);
  browser.open(write_report("exp"));
  EXPECT_EQ(browser.run(kWrongColors), nlohmann::json::array());
  const json light = browser.run("return getComputedStyle(document.documentElement).getPropertyValue('--s0')");
  browser.prefer_dark(true);
  browser.wait_for("getComputedStyle(document.body).backgroundColor === 'rgb(21, 24, 28)'");
  EXPECT_NE(browser.run("return getComputedStyle(document.documentElement).getPropertyValue('--s0')"), light);
  EXPECT_EQ(browser.run(kWrongColors), nlohmann::json::array());
}

TEST_F(SlowPage, HostileNamesAreTextOnThePage) {
  const std::string evil = "</script><img src=x onerror='window.hacked=1'><b>\"'&\xe2\x80\xa8";
  Browser browser(kDarkPhone);
  browser.open(write_report(
      "<i>run", {evil, "a class name that is very very very long and has nowhereabreakinit_nowhere_at_all"}));
  EXPECT_EQ(browser.run("return window.hacked === undefined"), true);
  EXPECT_EQ(browser.run("return document.querySelectorAll('#page b img, #page b b, h1 i').length"), 0);
  EXPECT_EQ(browser.run("return document.querySelector('.per-class tr:nth-child(3) th').textContent"), evil);
  EXPECT_EQ(browser.complaints(), "");
  expect_no_sideways_scrolling(browser, 390);
}

TEST_F(SlowPage, HundredClassesStayReadable) {
  std::vector<std::string> names;
  for (int k = 0; k < 100; ++k) names.push_back("class " + std::to_string(k));
  Browser browser(kDesktop);
  browser.open(write_report("exp", names));
  expect_drawn(browser, kReportCharts);
  expect_no_sideways_scrolling(browser, 1280);
  EXPECT_EQ(browser.run("return document.querySelectorAll('.confusion tr').length"),
            32);  // head, 30 classes, background
}

TEST_F(SlowPage, ReportOfARunThatHasHardlyBegun) {
  make_directories(folder_ / "exp");
  write_file(folder_ / "exp/args.toml", "epochs = 5\n");
  write_file(folder_ / "report.html", run_page(folder_ / "exp"));
  Browser browser(kDesktop);
  browser.open("file://" + (folder_ / "report.html").string());
  expect_drawn(browser, {});
  EXPECT_EQ(browser.run("return document.querySelector('.tile b').textContent"), "0 of 5");
}

TEST_F(SlowPage, ReportOfAnEvaluationOnAPhone) {
  const EvaluationFacts facts{
      "best.h5 on voc/ (test)", "416 x 416, dnnl", {"--weights", "best.h5"}, "conf = 0.1\n", 12.5, 0.75};
  write_file(folder_ / "report.html", evaluation_page(facts, test_report({"cat", "dog"}, 0)));
  Browser browser({390, 844, true, false});
  browser.open("file://" + (folder_ / "report.html").string());
  expect_drawn(browser, {kReportCharts.begin() + 9, kReportCharts.end()});
  expect_no_sideways_scrolling(browser, 390);
  const std::string tiles = browser.run("return document.querySelector('.tiles').textContent");
  EXPECT_NE(tiles.find("12.5images/s"), std::string::npos) << tiles;
  EXPECT_NE(tiles.find("750 MBpeak memory"), std::string::npos) << tiles;
}

TEST_F(SlowPage, AReportOfAnotherShapeCostsItsOwnPartOnly) {
  write_test_run(folder_ / "exp", 3);
  const std::vector<std::string> reports = {
      "{}", R"({"names":3,"splits":"<b>","judgement":{"metrics":[]}})",
      R"({"names":["<img src=x>"],"net":[1,2],"splits":{"a":null},"judgement":null})"};
  Browser browser(kDesktop);
  for (const std::string& report : reports) {
    write_file(folder_ / "exp/report.json", report);
    write_file(folder_ / "report.html", run_page(folder_ / "exp"));
    browser.open("file://" + (folder_ / "report.html").string());
    EXPECT_EQ(browser.run("return document.querySelectorAll('canvas').length"), 9) << report;  // the training's
    EXPECT_EQ(browser.run("return document.querySelectorAll('h2#repeat').length"), 1) << report;
    EXPECT_EQ(browser.run("return document.querySelectorAll('#page b b, img[src=x]').length"), 0) << report;
    EXPECT_EQ(browser.complaints(), "") << report;
  }
  EXPECT_EQ(browser.run("return document.querySelectorAll('p.bad').length"), 1);
}

TEST_F(SlowPage, BoardFollowsRunsSideBySide) {
  write_test_run(folder_ / "runs/one", 3);
  write_test_run(folder_ / "runs/two", 4);
  const BoardServer board(BoardOptions{folder_ / "runs", "127.0.0.1", 0, false});
  Browser browser(kDesktop);
  browser.open(board.url());
  browser.wait_for("document.documentElement.dataset.ready && document.querySelectorAll('canvas').length === 7");
  expect_drawn(browser, {"mAP50", "mAP50-95", "Training loss", "Validation loss", "Loss of each update",
                         "Learning rate", "Images/s"});
  expect_no_sideways_scrolling(browser, 1280);
  const std::string lines = "Chart.getChart(document.querySelector('canvas')).data.datasets";
  EXPECT_EQ(browser.run("return " + lines + ".map((d) => d.label + ' ' + d.data.length).sort()"),
            (json{"one 3", "two 4"}));

  write_file(folder_ / "runs/one/results.csv", test_run_csv(9));
  browser.wait_for(lines + ".some((d) => d.label === 'one' && d.data.length === 9)");
  write_test_run(folder_ / "runs/three", 2);
  browser.wait_for("document.querySelectorAll('.runs tr').length === 4");  // listed, and the head
  fs::remove_all(folder_ / "runs/two");
  browser.wait_for("document.querySelectorAll('.runs tr').length === 3");
  browser.wait_for(lines + ".length === 1");  // what is gone is compared no longer
  EXPECT_EQ(browser.complaints(), "");
}

TEST_F(SlowPage, BoardShowsOneRunInFullOnAPhone) {
  write_test_run(folder_ / "runs/<b>one", 3, {"</script>", "dog"});
  const BoardServer board(BoardOptions{folder_ / "runs", "127.0.0.1", 0, false});
  Browser browser(kDarkPhone);
  browser.open(board.url());
  browser.wait_for("document.documentElement.dataset.ready && document.querySelectorAll('canvas').length === 7");
  expect_no_sideways_scrolling(browser, 390);
  browser.run("document.querySelector('.runs a').click()");
  browser.wait_for("document.querySelectorAll('#page canvas').length === 17");
  expect_no_sideways_scrolling(browser, 390);
  EXPECT_EQ(browser.run("return document.getElementById('title').textContent"), "<b>one");
  EXPECT_EQ(browser.complaints(), "");
}

// A table without obj_loss left the whole page without charts, and said that the board did not answer.
TEST_F(SlowPage, ARunOfAnotherProgramIsShownBesideOurs) {
  write_test_run(folder_ / "runs/ours", 3);
  make_directories(folder_ / "runs/theirs");
  write_file(folder_ / "runs/theirs/results.csv",
             "epoch,time,train/box_loss,train/cls_loss,train/dfl_loss,val/box_loss\n1,10,1.5,2.25,4,1\n?,20,1,1,1,1\n");
  const BoardServer board(BoardOptions{folder_ / "runs", "127.0.0.1", 0, false});
  Browser browser(kDesktop);
  browser.open(board.url());
  browser.wait_for("document.documentElement.dataset.ready && document.querySelectorAll('canvas').length === 7");
  const std::string theirs =
      "[...document.querySelectorAll('canvas')].find((c) => c.getAttribute('aria-label') === 'Training loss'), "
      "d = Chart.getChart(c).data.datasets.find((d) => d.label === 'theirs')";
  EXPECT_EQ(browser.run("const c = " + theirs + "; return d.data"), (json{{{"x", 2}, {"y", 7.75}}}));
  EXPECT_EQ(browser.run("return document.getElementById('trouble').textContent"), "");
  browser.run("[...document.querySelectorAll('.runs a')].find((a) => a.textContent === 'theirs').click()");
  browser.wait_for("document.querySelectorAll('#page canvas').length === 2");  // the loss and its parts
  EXPECT_EQ(browser.run("return document.getElementById('repeat')"), nullptr) << "we cannot repeat it";
  EXPECT_EQ(browser.run("return document.getElementById('trouble').textContent"), "");
  EXPECT_EQ(browser.complaints(), "");
}

// "This run cannot be shown" until the first epoch had ended.
TEST_F(SlowPage, BoardShowsARunThatHasHardlyBegun) {
  make_directories(folder_ / "runs/exp");
  write_file(folder_ / "runs/exp/args.toml", "epochs = 5\n");
  const BoardServer board(BoardOptions{folder_ / "runs", "127.0.0.1", 0, false});
  Browser browser(kDesktop);
  browser.open(board.url());
  browser.wait_for("document.querySelector('.runs a')");
  browser.run("document.querySelector('.runs a').click()");
  browser.wait_for("document.querySelector('#page .tile b')?.textContent === '0 of 5'");
  EXPECT_EQ(browser.run("return document.getElementById('trouble').textContent"), "");
  write_test_run(folder_ / "runs/exp", 1);
  browser.wait_for("document.querySelectorAll('#page canvas').length === 17");
  EXPECT_EQ(browser.complaints(), "");
}

// News took the focus from the list, and closed the options of a run.
TEST_F(SlowPage, NewsLeaveTheReaderWhereHeIs) {
  write_test_run(folder_ / "runs/one", 3);
  write_test_run(folder_ / "runs/two", 3);
  const BoardServer board(BoardOptions{folder_ / "runs", "127.0.0.1", 0, false});
  Browser browser(kDesktop);
  browser.open(board.url());
  browser.wait_for("document.querySelectorAll('.runs a').length === 2");
  const json run = browser.run(
      "const box = [...document.querySelectorAll('.runs input')][1]; box.focus(); box.old = true; return "
      "box.dataset.run");
  browser.wait_for("![...document.querySelectorAll('.runs input')].some((box) => box.old)");
  EXPECT_EQ(browser.run("return document.activeElement.tagName + document.activeElement.dataset.run"),
            "INPUT" + run.get<std::string>());

  browser.run("document.querySelector('.runs a').click()");
  browser.wait_for("document.querySelectorAll('#page canvas').length === 17");
  const std::string name =
      browser.run("document.querySelector('details').open = true; return document.getElementById('title').textContent");
  write_file(folder_ / "runs" / name / "results.csv", test_run_csv(4));
  browser.wait_for("document.querySelector('#page .tile:nth-child(5) b').textContent === '4 of 3'");
  EXPECT_EQ(browser.run("return document.querySelector('details').open"), true);
  EXPECT_EQ(browser.complaints(), "");
}

}  // namespace
}  // namespace yolov3
