// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.testsupport.Needed;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.openqa.selenium.By;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.logging.LogEntry;
import org.openqa.selenium.logging.LogType;
import org.openqa.selenium.logging.LoggingPreferences;

/** A headless Chromium. */
final class Browser implements AutoCloseable {

    private static final Path CHROMIUM = Path.of("/usr/bin/chromium");
    private static final Path DRIVER = Path.of("/usr/bin/chromedriver");

    private final ChromeDriver driver;

    private Browser(ChromeDriver driver) {
        this.driver = driver;
    }

    /**
     * Starts a browser, or skips the test if none is installed.
     *
     * @param profile an empty directory
     * @throws AssertionError if no browser is installed and {@code ksm.required} is true
     */
    static Browser open(Path profile) {
        boolean installed = Stream.of(CHROMIUM, DRIVER).allMatch(Files::isExecutable);
        Needed.require(
                installed, "needs " + CHROMIUM + " and " + DRIVER + ": Debian packages chromium and chromium-driver");
        ChromeOptions options = new ChromeOptions();
        options.setBinary(CHROMIUM.toFile());
        options.addArguments(
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--window-size=1200,900",
                "--user-data-dir=" + profile);
        LoggingPreferences logs = new LoggingPreferences();
        logs.enable(LogType.BROWSER, Level.ALL);
        logs.enable(LogType.PERFORMANCE, Level.ALL);
        options.setCapability("goog:loggingPrefs", logs);
        // Without a driver, Selenium looks for one in other places and on the internet. The browser stores its settings
        // in the home directory.
        ChromeDriverService service = new ChromeDriverService.Builder()
                .usingDriverExecutable(DRIVER.toFile())
                .withEnvironment(Map.of("HOME", profile.toString()))
                .build();
        return new Browser(new ChromeDriver(service, options));
    }

    void visit(String uri) {
        driver.get(uri);
    }

    /** Returns the visible text of an element; empty if it is hidden. */
    String text(String id) {
        return driver.findElement(By.id(id)).getText();
    }

    /** Runs the body of a function and returns its result. */
    Object run(String javaScript) {
        return driver.executeScript(javaScript);
    }

    void prefer(String colorScheme) {
        driver.executeCdpCommand(
                "Emulation.setEmulatedMedia",
                Map.of("features", List.of(Map.of("name", "prefers-color-scheme", "value", colorScheme))));
    }

    void resize(int width, int height) {
        driver.executeCdpCommand(
                "Emulation.setDeviceMetricsOverride",
                Map.of("width", width, "height", height, "deviceScaleFactor", 2, "mobile", true));
    }

    /** Returns the browser's error messages since the last call. */
    List<String> complaints() {
        return log(LogType.BROWSER).toList();
    }

    /** Returns the URLs of all requests since the last call. */
    List<String> requests() {
        return log(LogType.PERFORMANCE)
                .filter(event -> event.contains("\"Network.requestWillBeSent\""))
                .map(event -> event.replaceFirst("(?s).*\"request\":\\{.*?\"url\":\"([^\"]*)\".*", "$1"))
                .toList();
    }

    private Stream<String> log(String type) {
        return StreamSupport.stream(driver.manage().logs().get(type).spliterator(), false)
                .map(LogEntry::getMessage);
    }

    @Override
    public void close() {
        driver.quit();
    }
}
