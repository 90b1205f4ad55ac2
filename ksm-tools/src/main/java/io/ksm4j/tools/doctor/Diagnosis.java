package io.ksm4j.tools.doctor;

import io.ksm4j.tools.doctor.Check.Verdict;
import io.ksm4j.tools.output.ExitStatus;
import java.util.List;
import java.util.Optional;

/** What {@code ksm doctor} makes of all checks together. */
enum Diagnosis {
    /** Pages can merge. */
    WORKS("works", Optional.of(true), ExitStatus.SUCCESS),
    /** They could after the cures of what is fixable. */
    FIXABLE("fixable", Optional.of(false), 3),
    /** A file that would say so is hidden. */
    UNKNOWN("unknown", Optional.empty(), 4),
    /** They cannot. */
    CANNOT("cannot", Optional.of(false), ExitStatus.FAILURE);

    private final String word;
    private final Optional<Boolean> canMerge;
    private final int exitStatus;

    Diagnosis(String word, Optional<Boolean> canMerge, int exitStatus) {
        this.word = word;
        this.canMerge = canMerge;
        this.exitStatus = exitStatus;
    }

    static Diagnosis of(List<Check> checks) {
        List<Verdict> verdicts = checks.stream().map(Check::verdict).toList();
        if (verdicts.contains(Verdict.FAILED)) {
            return CANNOT;
        }
        if (verdicts.contains(Verdict.FIXABLE)) {
            return FIXABLE;
        }
        return verdicts.contains(Verdict.UNKNOWN) ? UNKNOWN : WORKS;
    }

    /** As it is in JSON. */
    String word() {
        return word;
    }

    /** Whether pages can merge now; empty if unknown. */
    Optional<Boolean> canMerge() {
        return canMerge;
    }

    int exitStatus() {
        return exitStatus;
    }
}
