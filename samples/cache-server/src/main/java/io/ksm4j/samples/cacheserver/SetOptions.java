// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import org.jspecify.annotations.Nullable;

/** The options of {@code SET} and {@code GETEX}. */
final class SetOptions {

    /** The options for times. */
    enum TimeUnit {
        EX(1000, true),
        PX(1, true),
        EXAT(1000, false),
        PXAT(1, false);

        private final long millis;
        private final boolean isRelative;

        TimeUnit(long millis, boolean isRelative) {
            this.millis = millis;
            this.isRelative = isRelative;
        }

        /**
         * Returns the deadline of a time.
         *
         * @throws ReplyException if it is not positive or too large
         */
        long deadline(long time, Command command) {
            try {
                long deadline = Math.addExact(Math.multiplyExact(time, millis), isRelative ? Store.now() : 0);
                if (time > 0) {
                    return Math.min(deadline, Store.NEVER - 1);
                }
            } catch (ArithmeticException e) {
                // Handled like a time that is not positive.
            }
            throw ReplyException.invalidExpireTime(command);
        }
    }

    Store.Condition condition = Store.Condition.ALWAYS;
    boolean get;
    boolean persist;
    private boolean keepDeadline;
    private @Nullable TimeUnit unit;
    private int timeWord;

    private SetOptions() {}

    /**
     * Parses the words from one on. Later times replace earlier ones of the same unit, as in Redis.
     *
     * @param forGet whether the command reads a value, as GETEX does
     * @throws ReplyException if the options are invalid
     */
    static SetOptions parse(Request words, int first, boolean forGet) {
        SetOptions options = new SetOptions();
        for (int i = first; i < words.size(); i++) {
            String option = words.upper(i);
            TimeUnit unit = unit(option);
            if (unit != null && options.mayHave(unit) && i + 1 < words.size()) {
                i++;
                options.unit = unit;
                options.timeWord = i;
            } else if (unit != null || !options.accept(option, forGet)) {
                throw new ReplyException(ReplyException.SYNTAX_ERROR);
            }
        }
        return options;
    }

    private static @Nullable TimeUnit unit(String option) {
        for (TimeUnit unit : TimeUnit.values()) {
            if (unit.name().equals(option)) {
                return unit;
            }
        }
        return null;
    }

    private boolean mayHave(TimeUnit unit) {
        return !keepDeadline && !persist && (this.unit == null || this.unit == unit);
    }

    private boolean accept(String option, boolean forGet) {
        if (forGet) {
            persist |= option.equals("PERSIST") && unit == null;
            return persist && option.equals("PERSIST");
        }
        switch (option) {
            case "NX" -> {
                return accept(Store.Condition.ABSENT);
            }
            case "XX" -> {
                return accept(Store.Condition.PRESENT);
            }
            case "GET" -> {
                get = true;
                return true;
            }
            case "KEEPTTL" -> {
                keepDeadline = unit == null;
                return keepDeadline;
            }
            default -> {
                return false;
            }
        }
    }

    private boolean accept(Store.Condition other) {
        boolean mayHave = condition == Store.Condition.ALWAYS || condition == other;
        condition = other;
        return mayHave;
    }

    /**
     * Returns the deadline, {@link Store#SAME} or {@link Store#NEVER}.
     *
     * @throws ReplyException if the time is invalid
     */
    long deadline(Request words, Command command) {
        if (unit != null) {
            return unit.deadline(words.number(timeWord), command);
        }
        return keepDeadline ? Store.SAME : Store.NEVER;
    }
}
