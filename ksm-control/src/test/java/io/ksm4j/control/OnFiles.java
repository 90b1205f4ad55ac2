package io.ksm4j.control;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import net.jqwik.api.lifecycle.AfterTry;
import net.jqwik.api.lifecycle.BeforeTry;

/** Sessions on a tree of files with three settings, anew for each try. */
abstract class OnFiles {

    private Path folder = Path.of("");
    Path sysfs = Path.of("");
    Path state = Path.of("");
    SessionFile file = SessionFile.ofThisMachine();
    KsmDaemon ksmd = KsmDaemon.system();

    /** The settings before anybody has borrowed one. */
    KsmSettings before = KsmSettings.EMPTY;

    @BeforeTry
    void createFiles() throws IOException {
        folder = Files.createTempDirectory("sessions");
        sysfs = Files.createDirectory(folder.resolve("ksm"));
        state = folder.resolve("state/settings");
        write(KsmSetting.RUN, 0);
        write(KsmSetting.PAGES_TO_SCAN, 100);
        write(KsmSetting.SLEEP_MILLISECS, 20);
        Files.writeString(sysfs.resolve("pages_shared"), "0\n");
        file = new SessionFile(folder.resolve("state"), Path.of("/proc"));
        ksmd = new KsmDaemon(sysfs, file);
        before = ksmd.settings();
    }

    @AfterTry
    void deleteFiles() throws IOException {
        try (var paths = Files.walk(folder)) {
            for (Path path : paths.sorted(Collections.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }

    void write(KsmSetting setting, long value) throws IOException {
        Files.writeString(sysfs.resolve(setting.file()), value + "\n");
    }
}
