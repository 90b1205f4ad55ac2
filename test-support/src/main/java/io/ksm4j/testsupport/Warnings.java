// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.awaitility.Awaitility.await;

import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;

/** Keeps the warnings of a logger, instead of the console, until it is closed. */
public final class Warnings implements AutoCloseable {

    /** A strong reference: the JDK keeps weak ones only, and would lose the logger with its filter. */
    private final Logger logger;

    private final BlockingQueue<LogRecord> records = new LinkedBlockingQueue<>();

    private Warnings(Logger logger) {
        this.logger = logger;
    }

    /** Keeps the warnings of ksm4j. */
    public static Warnings ofKsm4j() {
        Warnings warnings = new Warnings(Logger.getLogger("io.ksm4j"));
        warnings.logger.setFilter(logged -> !logged.getLevel().equals(Level.WARNING) || !warnings.records.add(logged));
        return warnings;
    }

    /** Waits for the first warning, and returns its message. */
    public String first() {
        await("a warning").atMost(PATIENCE).until(() -> !records.isEmpty());
        return messages().get(0);
    }

    /** Returns the messages so far. */
    public List<String> messages() {
        return records.stream().map(new SimpleFormatter()::formatMessage).toList();
    }

    @Override
    public void close() {
        logger.setFilter(null);
    }
}
