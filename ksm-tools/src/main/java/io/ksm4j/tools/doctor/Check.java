package io.ksm4j.tools.doctor;

/**
 * One thing between a program and merged pages, looked at by {@code ksm doctor}.
 *
 * @param name what was looked at: lower-case words with hyphens, for programs too
 * @param verdict what it means for merging
 * @param reason what was found, in words for people
 * @param cure the command or change that mends it; empty if nothing need be mended
 */
record Check(String name, Verdict verdict, String reason, String cure) {

    /** What a check means for merging. */
    enum Verdict {
        /** Nothing in the way. */
        OK("ok"),
        /** Pages can merge, but slowly, at a price, or not everywhere. */
        WARNING("warning"),
        /** It is unknown whether pages merge. */
        UNKNOWN("unknown"),
        /** No page merges until the cure is run on this machine. */
        FIXABLE("fixable"),
        /** No page merges in this place, on this kernel. */
        FAILED("failed");

        private final String word;

        Verdict(String word) {
            this.word = word;
        }

        /** As it is printed, and in JSON. */
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
