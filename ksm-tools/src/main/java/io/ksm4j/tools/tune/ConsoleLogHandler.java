// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.tune;

import io.ksm4j.tools.output.Console;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;

/** Prints log messages of the library like messages of the command: in one line, without a stack trace. */
final class ConsoleLogHandler extends Handler {

    /** Inserts arguments into messages. */
    private static final Formatter MESSAGES = new SimpleFormatter();

    /** Keeps the logger from being collected, because the log manager does not. */
    private static Logger logger = Logger.getAnonymousLogger();

    static void replaceHandlersOf(String name) {
        logger = Logger.getLogger(name);
        logger.setUseParentHandlers(false);
        logger.addHandler(new ConsoleLogHandler());
    }

    @Override
    public void publish(LogRecord event) {
        if (event.getLevel().intValue() >= Level.WARNING.intValue()) {
            Throwable thrown = event.getThrown();
            Console.say(MESSAGES.formatMessage(event) + (thrown == null ? "" : ": " + thrown.getMessage()));
        }
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
}
