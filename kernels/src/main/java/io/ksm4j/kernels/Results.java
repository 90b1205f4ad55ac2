// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;

/**
 * Prints one line for each test method when it has ended, or for a class that is skipped. Dynamic tests count as their
 * method.
 */
final class Results implements TestExecutionListener {

    /** The maximum length of a message. */
    private static final int LONGEST = 400;

    private final PrintStream out;

    /** By the ID of the method that created the test. */
    private final Map<String, Throwable> failuresOfParts = new HashMap<>();

    private @Nullable TestPlan plan;
    private boolean failed;

    Results(PrintStream out) {
        this.out = out;
    }

    /** Returns whether a test has failed. */
    boolean haveFailed() {
        return failed;
    }

    @Override
    public void testPlanExecutionStarted(TestPlan started) {
        plan = started;
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        print(nameOf(test) + ": skipped: " + oneLine(reason));
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        Optional<TestIdentifier> method = methodAbove(test);
        if (method.isPresent()) {
            result.getThrowable()
                    .filter(thrown -> result.getStatus() == TestExecutionResult.Status.FAILED)
                    .ifPresent(
                            thrown -> failuresOfParts.putIfAbsent(method.get().getUniqueId(), thrown));
            return;
        }
        Throwable thrown = result.getThrowable().orElse(failuresOfParts.get(test.getUniqueId()));
        if (result.getStatus() == TestExecutionResult.Status.ABORTED) {
            print(nameOf(test) + ": skipped: " + oneLine(thrown == null ? null : thrown.getMessage()));
        } else if (thrown != null) {
            failed = true;
            print(nameOf(test) + ": failed: " + describe(thrown));
            out.print(stackTrace(thrown));
            out.flush();
        } else if (source(test) instanceof MethodSource) {
            print(nameOf(test) + ": holds");
        }
    }

    /** Returns the method that created this test, if there is one. */
    private Optional<TestIdentifier> methodAbove(TestIdentifier test) {
        Optional<TestIdentifier> above = Optional.empty();
        for (Optional<TestIdentifier> at = parent(test); at.isPresent(); at = parent(at.get())) {
            if (source(at.get()) instanceof MethodSource) {
                above = at;
            }
        }
        return above;
    }

    private Optional<TestIdentifier> parent(TestIdentifier test) {
        return plan == null ? Optional.empty() : plan.getParent(test);
    }

    private static @Nullable TestSource source(TestIdentifier test) {
        return test.getSource().orElse(null);
    }

    private static String nameOf(TestIdentifier test) {
        if (source(test) instanceof MethodSource method) {
            return nameOf(method.getClassName()) + "." + method.getMethodName();
        }
        return source(test) instanceof ClassSource type ? nameOf(type.getClassName()) : test.getDisplayName();
    }

    /** Returns the simple name of a class, starting with a lowercase letter. */
    static String nameOf(String className) {
        String simple = className.substring(className.lastIndexOf('.') + 1);
        return Character.toLowerCase(simple.charAt(0)) + simple.substring(1);
    }

    private static String describe(Throwable thrown) {
        String message = thrown instanceof AssertionError ? String.valueOf(thrown.getMessage()) : thrown.toString();
        return oneLine(message)
                + Arrays.stream(thrown.getStackTrace())
                        .filter(frame -> frame.getClassName().startsWith("io.ksm4j."))
                        .findFirst()
                        .map(frame -> " (" + frame + ")")
                        .orElse("");
    }

    private static String oneLine(@Nullable String text) {
        // JUnit's assumptions start with this text.
        String line = String.valueOf(text)
                .strip()
                .replaceFirst("^Assumption failed: ", "")
                .replaceAll("\\s+", " ");
        return line.length() <= LONGEST ? line : line.substring(0, LONGEST) + " ...";
    }

    private static String stackTrace(Throwable thrown) {
        StringWriter trace = new StringWriter();
        thrown.printStackTrace(new PrintWriter(trace));
        return trace.toString().strip().replaceAll("(?m)^", "  ") + "\n";
    }

    /** Prints the line in one call, so that no other output gets between. */
    private void print(String result) {
        out.print("case " + result + "\n");
        out.flush();
    }
}
