package io.ksm4j.tools;

/** The exit statuses that commands have in common. */
final class ExitStatus {

    /** Success; for {@code ksm doctor}, merging can work. */
    static final int SUCCESS = 0;

    /** Failure; for {@code ksm doctor}, merging cannot work. */
    static final int FAILURE = 1;

    /** The command line is invalid. */
    static final int USAGE = 2;

    /** Terminated by a signal, whose number is added. */
    static final int SIGNAL = 128;

    private ExitStatus() {}
}
