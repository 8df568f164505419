// For tests: headless Chromium, driven through chromedriver's HTTP interface (W3C WebDriver).
#pragma once

#include <fcntl.h>
#include <httplib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "app/test_folder.h"
#include "base/error.h"

namespace yolov3 {

class Browser {
 public:
  struct Screen {
    int width = 1280, height = 900;
    bool phone = false, dark = false;
  };

  // Why no browser can be started here; empty when one can.
  static std::string missing() {
    for (const char* program : {"chromium", "chromedriver"}) {
      if (std::system((std::string("command -v ") + program + " >/dev/null 2>&1").c_str()) != 0) {
        return std::string(program) + " is not installed (packages chromium and chromium-driver)";
      }
    }
    return "";
  }

  explicit Browser(const Screen& screen) {
    start_driver();
    using nlohmann::json;
    json arguments = {"--headless",
                      "--no-sandbox",
                      "--disable-gpu",
                      "--disable-quic",
                      "--no-first-run",
                      "--disable-background-networking",
                      "--disable-component-update",
                      "--disable-sync",
                      "--hide-scrollbars",
                      "--user-data-dir=" + (folder_ / "profile").string(),
                      "--window-size=" + std::to_string(screen.width) + "," + std::to_string(screen.height)};
    json options = {{"args", arguments}};
    if (screen.phone) {
      options["mobileEmulation"] = {
          {"deviceMetrics", {{"width", screen.width}, {"height", screen.height}, {"pixelRatio", 2.0}}}};
    }
    const json wanted = {
        {"browserName", "chrome"}, {"goog:loggingPrefs", {{"browser", "ALL"}}}, {"goog:chromeOptions", options}};
    session_ =
        "/session/" + post("/session", {{"capabilities", {{"alwaysMatch", wanted}}}})["sessionId"].get<std::string>();
    prefer_dark(screen.dark);
  }

  ~Browser() {
    if (client_ && !session_.empty()) client_->Delete(session_.c_str());
    if (driver_ > 0) {
      ::kill(driver_, SIGTERM);
      ::waitpid(driver_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Browser(const Browser&) = delete;
  Browser& operator=(const Browser&) = delete;

  void prefer_dark(bool dark) {
    const nlohmann::json scheme = {{"name", "prefers-color-scheme"}, {"value", dark ? "dark" : "light"}};
    post(session_ + "/goog/cdp/execute", {{"cmd", "Emulation.setEmulatedMedia"}, {"params", {{"features", {scheme}}}}});
  }

  void open(const std::string& url) { post(session_ + "/url", {{"url", url}}); }

  // What the function body returns.
  nlohmann::json run(const std::string& script) {
    return post(session_ + "/execute/sync", {{"script", script}, {"args", nlohmann::json::array()}});
  }

  // Waits, at most half a minute, until the expression is true in the page.
  void wait_for(const std::string& expression) {
    post(session_ + "/execute/async", {{"script", "const done = arguments[0]; const look = () => (" + expression +
                                                      ") ? done(true) : setTimeout(look, 30); look();"},
                                       {"args", nlohmann::json::array()}});
  }

  // Warnings and errors of the page, one a line: of scripts, of what could not be loaded, of what its policy forbids.
  std::string complaints() {
    std::string all;
    for (const auto& entry : post(session_ + "/se/log", {{"type", "browser"}})) {
      const std::string level = entry["level"];
      if (level == "SEVERE" || level == "WARNING") all += level + ": " + entry["message"].get<std::string>() + "\n";
    }
    return all;
  }

 private:
  void start_driver() {
    int pipe_ends[2];
    check(::pipe(pipe_ends) == 0, "no pipe");
    driver_ = ::fork();
    if (driver_ == 0) {
      ::dup2(pipe_ends[1], STDOUT_FILENO);
      ::dup2(pipe_ends[1], STDERR_FILENO);
      ::close(pipe_ends[0]);
      ::execlp("chromedriver", "chromedriver", "--port=0", static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(pipe_ends[1]);
    std::string said;
    char c = 0;
    int port = 0;
    while (port == 0 && ::read(pipe_ends[0], &c, 1) == 1) {
      said += c;
      const size_t at = said.rfind("successfully on port ");
      if (c == '\n' && at != std::string::npos) port = std::atoi(said.c_str() + at + 21);
    }
    ::fcntl(pipe_ends[0], F_SETFD, FD_CLOEXEC);
    output_ = pipe_ends[0];  // stays open: the driver goes on writing
    check(port > 0, "chromedriver did not start: {}", said);
    client_ = std::make_unique<httplib::Client>("127.0.0.1", port);
    client_->set_read_timeout(120);
  }

  nlohmann::json post(const std::string& path, const nlohmann::json& body) {
    const auto answer = client_->Post(path.c_str(), body.dump(), "application/json");
    check(static_cast<bool>(answer), "chromedriver does not answer {}", path);
    nlohmann::json value = nlohmann::json::parse(answer->body)["value"];
    check(answer->status == 200, "{}: {}", path, answer->body);
    return value;
  }

  std::filesystem::path folder_ = make_test_folder("browser");
  pid_t driver_ = -1;
  int output_ = -1;
  std::unique_ptr<httplib::Client> client_;
  std::string session_;
};

}  // namespace yolov3
