package io.ksm4j.tools.live;

import java.util.List;
import org.jline.utils.AttributedString;

/** Something that is shown again and again. Safe for use by many threads. */
interface LiveView {

    /**
     * Reads anew what is shown.
     *
     * @return whether there is still something to show
     */
    boolean update();

    /** What stands on a screen of this size; what does not fit is cut. */
    List<AttributedString> lines(int rows, int columns);

    /** Writes the same to standard output, without a screen. */
    void print();
}
