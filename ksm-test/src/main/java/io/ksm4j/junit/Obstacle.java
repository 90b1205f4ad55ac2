package io.ksm4j.junit;

import io.ksm4j.Ksm;
import io.ksm4j.KsmSupport;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.control.KsmDaemon;
import java.util.Optional;
import java.util.stream.Collectors;

/** What keeps tests from using KSM on this machine. */
final class Obstacle {

    /** Where it is {@code true}, such tests fail. */
    static final String REQUIRED = "ksm.required";

    private Obstacle() {}

    static String requiredBut(String obstacle) {
        return "-D" + REQUIRED + "=true, but " + obstacle;
    }

    /** Looks anew each time: a test may have changed it. */
    static Optional<String> find(boolean control) {
        Optional<String> marking = inTheWayOfMarking();
        if (marking.isPresent() || !control || KsmDaemon.system().mayChange()) {
            return marking;
        }
        return Optional.of(
                "this process may not write /sys/kernel/mm/ksm/run, and so not start ksmd: run the tests as root,"
                        + " on the host if this is a container whose /sys is read-only");
    }

    private static Optional<String> inTheWayOfMarking() {
        try {
            KsmSupport support = Ksm.system().support();
            return support.canMark()
                    ? Optional.empty()
                    : Optional.of(support.obstacles().stream()
                            .map(KsmSupport.Obstacle::explanation)
                            .collect(Collectors.joining("; ")));
        } catch (KsmUnsupportedException e) {
            return Optional.of(String.valueOf(e.getMessage()));
        }
    }
}
