// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import java.util.List;
import org.jline.utils.AttributedString;

/** A view that is updated and shown repeatedly. One thread updates and prints; any thread may call {@link #lines}. */
interface LiveView {

    /**
     * Reads the current values.
     *
     * @return whether there is still something to show
     */
    boolean update();

    /** Returns the content of a screen of this size, which cuts what does not fit. */
    List<AttributedString> lines(int rows, int columns);

    /** Prints the content to standard output, without a screen. */
    void print();
}
