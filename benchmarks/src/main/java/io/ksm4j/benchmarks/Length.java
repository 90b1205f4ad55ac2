package io.ksm4j.benchmarks;

/** How long a part may take. */
enum Length {
    /** In a test: whether it works at all. Says nothing about speed. */
    INSTANT,
    /** All parts together take ten minutes. */
    SHORT,
    LONG;

    /** The value for this length. */
    <T> T of(T whenInstant, T whenShort, T whenLong) {
        return switch (this) {
            case INSTANT -> whenInstant;
            case SHORT -> whenShort;
            case LONG -> whenLong;
        };
    }
}
