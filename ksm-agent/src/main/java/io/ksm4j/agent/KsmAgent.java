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
 * What the JVM calls. Whatever goes wrong is said in one line on standard error, and the program runs without what the agent should
 * have done for it; with the option {@code fail=true} it does not start.
 *
 * <p>{@code ksm attach} ends the options with {@code answer=FILE}. What was done, or what went wrong, is then written to that file.
 */
public final class KsmAgent {

    /** The last of the options, because a file's name may hold anything. */
    private static final String ANSWER = "answer=";

    /** Where {@code ksm attach} has put the agent, to put it there again: each other place would stay on the class path for good. */
    private static final String FOLDER_PROPERTY = "io.ksm4j.agent.folder";

    /** Held while the options of one call are applied. */
    private static final ReentrantLock LOCK = new ReentrantLock();

    /** The one copy of everything else. Its options are text, and what it did, or {@code error}, are texts by name. */
    private static @Nullable Function<String, Map<String, String>> inside;

    private KsmAgent() {}

    /**
     * {@code -javaagent:ksm-agent.jar=OPTIONS}.
     *
     * @param options {@code key=value,…}; null if there are none
     * @param instrumentation the JVM's
     */
    public static void premain(@Nullable String options, Instrumentation instrumentation) {
        String text = options == null ? "" : options;
        String error = run(text, instrumentation).get("error");
        if (error == null) {
            return;
        }
        boolean fail = ("," + text + ",").contains(",fail=true,");
        say(error + (fail ? "" : ": the program runs without the agent"));
        if (fail) {
            System.exit(1);
        }
    }

    /**
     * {@code ksm attach}, and whatever else loads agents into a running JVM. As often as one likes.
     *
     * @param options {@code key=value,…}; null if there are none
     * @param instrumentation the JVM's
     */
    public static void agentmain(@Nullable String options, Instrumentation instrumentation) {
        String text = options == null ? "" : options;
        int at = ("," + text).indexOf("," + ANSWER);
        if (at < 0) {
            String error = run(text, instrumentation).get("error");
            if (error != null) {
                say(error);
            }
            return;
        }
        File file = new File(text.substring(at + ANSWER.length()));
        Properties answer = new Properties();
        answer.putAll(run(text.substring(0, Math.max(0, at - 1)), instrumentation));
        try (OutputStream out = new FileOutputStream(file)) {
            System.setProperty(FOLDER_PROPERTY, String.valueOf(file.getParent()));
            answer.store(out, null);
        } catch (IOException | SecurityException e) {
            say("cannot answer: " + e.getMessage());
        }
    }

    /** A JVM whose agent throws ends. */
    @SuppressWarnings("CatchingThrowable")
    private static Map<String, String> run(String options, Instrumentation instrumentation) {
        LOCK.lock();
        try {
            if (inside == null) {
                inside = IsolatedModule.open(instrumentation);
            }
            return inside.apply(options);
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

    private static void say(String message) {
        System.err.println("ksm-agent: " + message.strip().replaceAll("\\s*\\R\\s*", "; "));
    }
}
