// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.tune;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import org.junit.jupiter.api.Test;

class ConsoleLogHandlerTest {

    @Test
    void insertsArgumentsIntoMessages() {
        LogRecord event = new LogRecord(Level.WARNING, "another program has set {0} to {1}");
        event.setParameters(new Object[] {"pages_to_scan", "5000"});
        event.setThrown(new IllegalStateException("why"));
        ByteArrayOutputStream errors = new ByteArrayOutputStream();
        PrintStream before = System.err;
        System.setErr(new PrintStream(errors, true, StandardCharsets.UTF_8));
        try {
            new ConsoleLogHandler().publish(event);
        } finally {
            System.setErr(before);
        }

        assertThat(errors.toString(StandardCharsets.UTF_8))
                .isEqualTo("ksm: another program has set pages_to_scan to 5000: why\n");
    }
}
