// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

/** Patterns as in Redis: {@code *}, {@code ?}, {@code [a-z]}, {@code [^a]}, and a backslash before other characters. */
final class Glob {

    private final String pattern;

    Glob(String pattern) {
        this.pattern = pattern;
    }

    /**
     * {@return whether the whole text matches} Goes back to the last asterisk only, because what an earlier one matched
     * need not be longer: the time is at most the product of both lengths.
     */
    boolean matches(String text) {
        int at = 0;
        int next = 0;
        int asterisk = -1;
        int afterAsterisk = 0;
        while (at < text.length()) {
            if (next < pattern.length() && pattern.charAt(next) == '*') {
                asterisk = next++;
                afterAsterisk = at;
            } else if (next < pattern.length() && matchesOne(next, text.charAt(at))) {
                next = end(next);
                at++;
            } else if (asterisk >= 0) {
                next = asterisk + 1;
                at = ++afterAsterisk;
            } else {
                return false;
            }
        }
        while (next < pattern.length() && pattern.charAt(next) == '*') {
            next++;
        }
        return next == pattern.length();
    }

    /** Returns where the element of the pattern that begins at a position ends. */
    private int end(int start) {
        if (pattern.charAt(start) == '\\' && start + 1 < pattern.length()) {
            return start + 2;
        }
        if (pattern.charAt(start) != '[') {
            return start + 1;
        }
        int at = start + 1;
        while (at < pattern.length() && pattern.charAt(at) != ']') {
            at += pattern.charAt(at) == '\\' && at + 1 < pattern.length() ? 2 : 1;
        }
        // Without a bracket at the end, the class ends with the pattern.
        return Math.min(pattern.length(), at + 1);
    }

    private boolean matchesOne(int start, char character) {
        return switch (pattern.charAt(start)) {
            case '?' -> true;
            case '[' -> isInClass(start + 1, character);
            case '\\' -> pattern.charAt(Math.min(start + 1, pattern.length() - 1)) == character;
            default -> pattern.charAt(start) == character;
        };
    }

    private boolean isInClass(int start, char character) {
        boolean isInverted = start < pattern.length() && pattern.charAt(start) == '^';
        int at = isInverted ? start + 1 : start;
        boolean found = false;
        while (at < pattern.length() && pattern.charAt(at) != ']') {
            if (pattern.charAt(at) == '\\' && at + 1 < pattern.length()) {
                at++;
                found |= pattern.charAt(at) == character;
            } else if (at + 2 < pattern.length() && pattern.charAt(at + 1) == '-') {
                char one = pattern.charAt(at);
                char other = pattern.charAt(at + 2);
                found |= character >= Math.min(one, other) && character <= Math.max(one, other);
                at += 2;
            } else {
                found |= pattern.charAt(at) == character;
            }
            at++;
        }
        return found != isInverted;
    }
}
