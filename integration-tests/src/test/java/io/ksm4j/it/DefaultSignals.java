package io.ksm4j.it;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Starts commands for which no signal is ignored. A process inherits what is: {@code nohup} ignores SIGHUP, a shell ignores SIGINT for
 * its background jobs, and neither would end a command then.
 */
final class DefaultSignals {

    /** An option of env(1) since coreutils 8.31. Where it is not known, what is ignored stays so. */
    static final List<String> ENV = isKnown() ? List.of("env", "--default-signal") : List.of("env");

    private DefaultSignals() {}

    private static boolean isKnown() {
        try {
            Process env = new ProcessBuilder("env", "--default-signal", "true").start();
            return env.waitFor() == 0;
        } catch (IOException e) {
            return false;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    static List<String> with(List<String> command) {
        List<String> all = new ArrayList<>(ENV);
        all.addAll(command);
        return all;
    }
}
