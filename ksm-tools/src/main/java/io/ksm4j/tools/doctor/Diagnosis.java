// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.doctor;

import io.ksm4j.tools.doctor.Check.Verdict;
import io.ksm4j.tools.output.ExitStatus;
import java.util.List;
import java.util.Optional;

/** The result of all checks of {@code ksm doctor} together. */
enum Diagnosis {
    /** Pages can merge. */
    WORKS("works", Optional.of(true), ExitStatus.SUCCESS),
    /** Pages could merge after the cures of the fixable checks. */
    FIXABLE("fixable", Optional.of(false), 3),
    /** A file that would tell is hidden. */
    UNKNOWN("unknown", Optional.empty(), 4),
    /** Pages cannot merge. */
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

    /** Returns the word used in JSON. */
    String word() {
        return word;
    }

    /** Returns whether pages can merge now; empty if unknown. */
    Optional<Boolean> canMerge() {
        return canMerge;
    }

    int exitStatus() {
        return exitStatus;
    }
}
