// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import net.jqwik.api.lifecycle.AfterTry;
import net.jqwik.api.lifecycle.BeforeTry;

/** A directory with three settings and a file of sessions, created anew for each try. */
abstract class SettingFilesFixture {

    private Path directory = Path.of("");
    Path sysfs = Path.of("");
    Path state = Path.of("");
    SettingFiles settingFiles = new SettingFiles(sysfs);
    SessionFile file = SessionFile.ofThisMachine();
    KsmDaemon ksmd = KsmDaemon.system();

    /** The settings before a session has borrowed any. */
    KsmSettings before = KsmSettings.EMPTY;

    @BeforeTry
    void createFiles() throws IOException {
        directory = Files.createTempDirectory("sessions");
        sysfs = Files.createDirectory(directory.resolve("ksm"));
        state = directory.resolve("state/settings");
        write(KsmSetting.RUN, 0);
        write(KsmSetting.PAGES_TO_SCAN, 100);
        write(KsmSetting.SLEEP_MILLISECS, 20);
        Files.writeString(sysfs.resolve("pages_shared"), "0\n");
        settingFiles = new SettingFiles(sysfs);
        file = new SessionFile(directory.resolve("state"), Path.of("/proc"));
        ksmd = new KsmDaemon(sysfs, file);
        before = ksmd.settings();
    }

    @AfterTry
    void deleteFiles() throws IOException {
        try (var paths = Files.walk(directory)) {
            for (Path path : paths.sorted(Collections.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }

    void write(KsmSetting setting, long value) throws IOException {
        Files.writeString(sysfs.resolve(setting.file()), value + "\n");
    }
}
