#include "app/board_server.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/program.h"
#include "app/test_folder.h"
#include "app/test_run_folder.h"
#include "base/error.h"
#include "base/interrupt.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Board : public ::testing::Test {
 protected:
  Board() {
    write_test_run(folder_ / "train/exp", 2);
    write_test_run(folder_ / "train/<b>exp2", 1, {"</script>", "dog"});
    server_ = std::make_unique<BoardServer>(BoardOptions{folder_, "127.0.0.1", 0, false});
    client_ = std::make_unique<httplib::Client>("127.0.0.1", server_->port());
  }
  ~Board() override {
    server_.reset();
    fs::remove_all(folder_);
  }

  httplib::Result get(const std::string& path, const httplib::Headers& headers = {}) {
    return client_->Get(path.c_str(), headers);
  }
  json runs() {
    const auto answer = get("/api/runs");
    return json::parse(answer->body);
  }
  std::string id_of(const std::string& name) {
    const json all = runs();  // named: a range-for keeps no temporary of a temporary alive
    for (const json& run : all["runs"]) {
      if (run["name"] == name) return run["id"];
    }
    return "";
  }

  fs::path folder_ = make_test_folder("board");
  std::unique_ptr<BoardServer> server_;
  std::unique_ptr<httplib::Client> client_;
};

TEST_F(Board, ListsRunsAndShowsOne) {
  const json list = runs();
  ASSERT_EQ(list["runs"].size(), 2u);
  EXPECT_EQ(list["more"], 0);
  const auto answer = get("/api/run?id=" + id_of("train/exp"));
  ASSERT_EQ(answer->status, 200);
  const json run = json::parse(answer->body);
  EXPECT_EQ(run["name"], "train/exp");
  EXPECT_EQ(run["csv"]["values"][0], (json{0, 1}));
  EXPECT_EQ(run["curves"]["lr"]["steps"].size(), 4u);
  EXPECT_EQ(run["pictures"][0]["name"], "train_batch0.jpg");
  const auto report = get("/api/report?id=" + id_of("train/exp"));
  EXPECT_EQ(json::parse(report->body)["names"], (json{"cat", "dog"}));
  const auto picture = get("/api/picture?id=" + id_of("train/exp") + "&name=train_batch0.jpg");
  EXPECT_EQ(picture->get_header_value("Content-Type"), "image/jpeg");
  EXPECT_EQ(picture->body, read_file(folder_ / "train/exp/train_batch0.jpg"));
  const auto page = get("/report?id=" + id_of("train/<b>exp2"));
  ASSERT_EQ(page->status, 200);
  EXPECT_TRUE(page->body.starts_with("<!doctype html>"));
  EXPECT_EQ(page->body.find("<b>"), std::string::npos);
}

TEST_F(Board, ServesItsPageAndScripts) {
  const std::pair<const char*, const char*> files[] = {
      {"/", "<!doctype html>"},      {"/style.css", ":root"},
      {"/chart.js", "Chart.js v"},   {"/evaluation.js", "const yolov3Evaluation"},
      {"/run.js", "const yolov3 ="}, {"/board.js", "/api/runs"}};
  for (const auto& [path, part] : files) {
    const auto answer = get(path);
    ASSERT_EQ(answer->status, 200) << path;
    EXPECT_NE(answer->body.find(part), std::string::npos) << path;
    EXPECT_NE(answer->get_header_value("Content-Security-Policy").find("script-src 'self'"), std::string::npos);
    EXPECT_EQ(answer->get_header_value("X-Content-Type-Options"), "nosniff");
  }
}

TEST_F(Board, NoPathLeavesTheRuns) {
  write_file(folder_ / "secret.jpg", "secret");
  write_file(folder_ / "train/exp/secret.jpg", "secret");
  const std::string id = id_of("train/exp");
  for (const std::string& path : std::vector<std::string>{
           "/api/run?id=../../etc", "/api/run?id=train/exp", "/api/run?id=", "/api/run", "/api/report?id=..",
           "/api/picture?id=" + id + "&name=secret.jpg", "/api/picture?id=" + id + "&name=../../secret.jpg",
           "/api/picture?id=" + id + "&name=..%2f..%2fsecret.jpg", "/api/picture?id=" + id + "&name=args.toml",
           "/api/picture?id=" + id + "&name=train_batch0.jpg%00.png", "/api/picture?id=" + id, "/../secret.jpg",
           "/train/exp/args.toml", "/..%2f..%2fetc/passwd", "//etc/passwd", "/style.css/../../x"}) {
    const auto answer = get(path);
    ASSERT_TRUE(answer) << path;
    EXPECT_EQ(answer->status, 404) << path;
    EXPECT_EQ(answer->body.find("secret\n"), std::string::npos);
  }
  EXPECT_EQ(client_->Post("/api/runs", "x", "text/plain")->status, 404);
}

// A page of another site whose name was made to point here must not read the runs.
TEST_F(Board, OtherHostNamesAreRefused) {
  for (const char* host : {"evil.example", "evil.example:6006", "127.0.0.1.evil.example", ""}) {
    EXPECT_EQ(get("/api/runs", {{"Host", host}})->status, 403) << host;
  }
  for (const char* host : {"localhost", "LocalHost:6006", "127.0.0.1:1", "[::1]:6006"}) {
    EXPECT_EQ(get("/api/runs", {{"Host", host}})->status, 200) << host;
  }
}

TEST_F(Board, ARunThatDisappearsIsNotFoundAndTheRestGoesOn) {
  const std::string id = id_of("train/exp");
  EXPECT_EQ(get("/api/run?id=" + id)->status, 200);
  fs::remove_all(folder_ / "train/exp");
  for (const char* path : {"/api/run?id=", "/api/report?id=", "/report?id="}) {
    EXPECT_EQ(get(path + id)->status, 404) << path;
  }
  EXPECT_EQ(runs()["runs"].size(), 1u);
}

TEST_F(Board, ADamagedReportIsAnErrorOfThatRunAlone) {
  write_file(folder_ / "train/exp/report.json", "{\"names\":");
  const auto answer = get("/api/report?id=" + id_of("train/exp"));
  EXPECT_EQ(answer->status, 500);
  EXPECT_NE(answer->body.find("expected a JSON object"), std::string::npos);
  EXPECT_EQ(get("/api/run?id=" + id_of("train/exp"))->status, 200);
}

TEST_F(Board, ShowsNoPictureThatIsNone) {
  write_file(folder_ / "secret", "root:x:0");
  fs::remove(folder_ / "train/exp/train_batch0.jpg");
  fs::create_symlink(folder_ / "secret", folder_ / "train/exp/train_batch0.jpg");
  EXPECT_EQ(get("/api/picture?name=train_batch0.jpg&id=" + id_of("train/exp"))->status, 404);
}

TEST_F(Board, HugeRequestsAreRefused) {
  EXPECT_EQ(client_->Post("/api/runs", std::string(100000, 'x'), "text/plain")->status, 413);
  EXPECT_EQ(get("/api/run?id=" + std::string(50000, 'x'))->status, 414);
  std::string ranges = "bytes=0-";
  for (int i = 0; i < 1000; ++i) ranges += ",0-";
  const auto answer = get("/chart.js", {{"Range", ranges}});
  EXPECT_EQ(answer->status, 416);
  EXPECT_LT(answer->body.size(), 1000000u);
  EXPECT_EQ(get("/api/runs")->status, 200);
}

// Idle connections, as browsers keep them, once held every thread for five seconds.
TEST_F(Board, AnswersBesideManyIdleConnections) {
  std::vector<std::unique_ptr<httplib::Client>> idle;
  for (int i = 0; i < 30; ++i) {
    idle.push_back(std::make_unique<httplib::Client>("127.0.0.1", server_->port()));
    idle.back()->set_keep_alive(true);
    EXPECT_EQ(idle.back()->Get("/style.css")->status, 200);
  }
  client_->set_read_timeout(2);
  const auto answer = get("/api/runs");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

TEST_F(Board, ManyClientsAtOnce) {
  const std::string id = id_of("train/exp");
  std::atomic<int> good = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back([&] {
      httplib::Client client("127.0.0.1", server_->port());
      for (const std::string& path : {std::string("/api/runs"), "/api/run?id=" + id, "/report?id=" + id}) {
        const auto answer = client.Get(path.c_str());
        good += answer && answer->status == 200 ? 1 : 0;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 18);
}

TEST_F(Board, ATakenPortIsSaidOrTheNextIsTaken) {
  const int taken = server_->port();
  try {
    const BoardServer second(BoardOptions{folder_, "127.0.0.1", taken, false});
    FAIL() << "two servers on one port";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find(fmt::format("127.0.0.1 port {}", taken)), std::string::npos) << message;
    EXPECT_NE(message.find("Address already in use"), std::string::npos) << message;
    EXPECT_NE(message.find(fmt::format("Try --port {}", taken + 1)), std::string::npos) << message;
  }
  const BoardServer next(BoardOptions{folder_, "127.0.0.1", taken, true});
  EXPECT_GT(next.port(), taken);
  EXPECT_LE(next.port(), taken + 10);
  EXPECT_EQ(next.url(), fmt::format("http://127.0.0.1:{}/", next.port()));
}

TEST_F(Board, AMissingFolderAndAWrongAddressAreErrors) {
  EXPECT_THROW(BoardServer(BoardOptions{folder_ / "nowhere", "127.0.0.1", 0, false}), Error);
  try {
    BoardServer(BoardOptions{folder_, "192.0.2.1", 6006, true});  // TEST-NET-1: of no machine
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("give an address of this machine"), std::string::npos) << error.what();
  }
}

TEST_F(Board, TheCommandEndsWithAnInterrupt) {
  clear_interrupt();
  install_interrupt_handlers();
  std::raise(SIGINT);  // before it begins: it listens, and ends
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const int code = run_program({"board", folder_.string(), "--port", "0"});
  const std::string out = ::testing::internal::GetCapturedStdout();
  const std::string err = ::testing::internal::GetCapturedStderr();
  clear_interrupt();
  EXPECT_EQ(code, 0) << err;
  EXPECT_TRUE(out.starts_with("http://127.0.0.1:")) << out;
  EXPECT_EQ(err.find("without a password"), std::string::npos) << err;
  EXPECT_EQ(run_program({"board", (folder_ / "nowhere").string()}), 1);
  EXPECT_EQ(run_program({"board", folder_.string(), folder_.string()}), 2) << "two folders: one would not be shown";
  EXPECT_EQ(run_program({"board", "--runs", folder_.string(), "--port", "0", "--runs=" + folder_.string()}), 2);
  EXPECT_EQ(run_program({"board", folder_.string(), "runs=" + folder_.string()}), 2);
}

TEST_F(Board, OthersAreLetInOnlyWhenAskedForAndThatIsSaid) {
  EXPECT_EQ(BoardOptions().host, "127.0.0.1");
  clear_interrupt();
  install_interrupt_handlers();
  std::raise(SIGINT);
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const int code = run_program({"board", "--port", "0", folder_.string(), "--host", "0.0.0.0"});  // in any order
  ::testing::internal::GetCapturedStdout();
  const std::string err = ::testing::internal::GetCapturedStderr();
  clear_interrupt();
  EXPECT_EQ(code, 0) << err;
  EXPECT_NE(err.find("without a password"), std::string::npos) << err;
}

}  // namespace
}  // namespace yolov3
