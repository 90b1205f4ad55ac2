// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.instrument.Instrumentation;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The entry points that the JVM calls. If the agent fails, it prints one line to standard error, and the program runs
 * without it; with the option {@code fail=true}, the program does not start.
 *
 * <p>{@code ksm attach} appends {@code answer=FILE} to the options. The result, or the error, is then written to that
 * file instead.
 */
public final class KsmAgent {

    /** Always the last option, because a file name may contain any character. */
    private static final String ANSWER = "answer=";

    /**
     * The directory that {@code ksm attach} copied the agent to. It uses the same one again, because every directory
     * would stay on the class path of this JVM.
     */
    private static final String DIRECTORY_PROPERTY = "io.ksm4j.agent.directory";

    /** Held while options are applied. */
    private static final ReentrantLock LOCK = new ReentrantLock();

    /** Applies options in the isolated module. Returns the results by name, or the {@code error}. */
    private static @Nullable Function<String, Map<String, String>> handler;

    private KsmAgent() {}

    /**
     * Called by the JVM for {@code -javaagent:ksm-agent.jar=OPTIONS}.
     *
     * @param options {@code key=value,…}; null for none
     * @param instrumentation provided by the JVM
     */
    public static void premain(@Nullable String options, Instrumentation instrumentation) {
        String text = options == null ? "" : options;
        String error = run(text, instrumentation).get("error");
        if (error == null) {
            return;
        }
        boolean fail = ("," + text + ",").contains(",fail=true,");
        print(error + (fail ? "" : ": the program runs without the agent"));
        if (fail) {
            System.exit(1);
        }
    }

    /**
     * Called by the JVM when {@code ksm attach}, or another program, loads the agent into a running JVM. May be called
     * any number of times.
     *
     * @param options {@code key=value,…}; null for none
     * @param instrumentation provided by the JVM
     */
    public static void agentmain(@Nullable String options, Instrumentation instrumentation) {
        String text = options == null ? "" : options;
        int at = ("," + text).indexOf("," + ANSWER);
        if (at < 0) {
            String error = run(text, instrumentation).get("error");
            if (error != null) {
                print(error);
            }
            return;
        }
        File file = new File(text.substring(at + ANSWER.length()));
        Properties answer = new Properties();
        answer.putAll(run(text.substring(0, Math.max(0, at - 1)), instrumentation));
        try (OutputStream out = new FileOutputStream(file)) {
            System.setProperty(DIRECTORY_PROPERTY, String.valueOf(file.getParent()));
            answer.store(out, null);
        } catch (IOException | SecurityException e) {
            print("cannot write the answer: " + e.getMessage());
        }
    }

    /** Catches everything, because the JVM exits if its agent throws. */
    @SuppressWarnings("CatchingThrowable")
    private static Map<String, String> run(String options, Instrumentation instrumentation) {
        LOCK.lock();
        try {
            if (handler == null) {
                handler = IsolatedModule.open(instrumentation);
            }
            return handler.apply(options);
        } catch (Throwable t) {
            Throwable cause = t;
            while (cause instanceof ReflectiveOperationException && cause.getCause() != null) {
                cause = cause.getCause();
            }
            return Map.of("error", String.valueOf(cause instanceof IllegalStateException ? cause.getMessage() : cause));
        } finally {
            LOCK.unlock();
        }
    }

    private static void print(String message) {
        System.err.println("ksm-agent: " + message.strip().replaceAll("\\s*\\R\\s*", "; "));
    }
}
