// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

/** The content of {@code /proc/PID/stat}. It may be incomplete: fields are checked only when they are read. */
final class ProcessStat {

    /** The number of the first field after the name. */
    private static final int STATE = 3;

    private final String text;
    private final String[] fields;

    ProcessStat(String text) {
        this.text = text;
        // The name is in parentheses, and may contain spaces and parentheses itself.
        fields = text.substring(Math.min(text.lastIndexOf(')') + 2, text.length()))
                .split(" ", -1);
    }

    /** {@return the name of the process} */
    String name() {
        return text.substring(text.indexOf('(') + 1, text.lastIndexOf(')'));
    }

    /** {@return whether there is a field of this number, counted as in proc_pid_stat(5)} */
    boolean has(int number) {
        return number - STATE < fields.length;
    }

    /**
     * Returns a field after the name.
     *
     * @param number the number of the field in proc_pid_stat(5), from 3
     * @throws ArrayIndexOutOfBoundsException if the content ends before that field
     */
    String field(int number) {
        return fields[number - STATE];
    }

    @Override
    public String toString() {
        return text.strip();
    }
}
