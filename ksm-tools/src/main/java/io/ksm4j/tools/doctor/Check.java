// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.doctor;

/**
 * One condition for merging that {@code ksm doctor} checks.
 *
 * @param name what was checked: lower-case words with hyphens, also for programs
 * @param verdict what it means for merging
 * @param reason what was found, as text
 * @param cure the command or change that fixes it; empty if none is needed
 */
record Check(String name, Verdict verdict, String reason, String cure) {

    /** What a check means for merging. */
    enum Verdict {
        /** No problem. */
        OK("ok"),
        /** Pages can merge, but slowly, at a cost, or not everywhere. */
        WARNING("warning"),
        /** It is unknown whether pages merge. */
        UNKNOWN("unknown"),
        /** No page merges until the cure is applied on this machine. */
        FIXABLE("fixable"),
        /** No page can merge here with this kernel. */
        FAILED("failed");

        private final String word;

        Verdict(String word) {
            this.word = word;
        }

        /** Returns the word that is printed and used in JSON. */
        String word() {
            return word;
        }
    }

    static Check ok(String name, String reason) {
        return new Check(name, Verdict.OK, reason, "");
    }

    static Check warning(String name, String reason, String cure) {
        return new Check(name, Verdict.WARNING, reason, cure);
    }

    static Check unknown(String name, String reason, String cure) {
        return new Check(name, Verdict.UNKNOWN, reason, cure);
    }

    static Check fixable(String name, String reason, String cure) {
        return new Check(name, Verdict.FIXABLE, reason, cure);
    }

    static Check failed(String name, String reason, String cure) {
        return new Check(name, Verdict.FAILED, reason, cure);
    }
}
