// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.List;

/** Draws bars side by side, one for each column, with characters that the terminal can show. */
enum Bars {
    BLOCKS(" ▁▂▃▄▅▆▇█"),
    ASCII(" _.:-=+*#");

    private static final int LEVELS = 8;

    /** From empty to a full cell. */
    private final String cells;

    Bars(String cells) {
        this.cells = cells;
    }

    static Bars of(Charset charset) {
        return charset.newEncoder().canEncode(BLOCKS.cells) ? BLOCKS : ASCII;
    }

    /**
     * Draws bars. A value shows even if it is zero.
     *
     * @param values the bars from left to right; NaN for none
     * @param max the value that fills all rows
     * @param rows the height
     * @return the rows from top to bottom
     */
    List<String> draw(double[] values, double max, int rows) {
        List<String> lines = new ArrayList<>();
        for (int row = rows - 1; row >= 0; row--) {
            StringBuilder line = new StringBuilder();
            for (double value : values) {
                long level = Double.isNaN(value) ? 0 : Math.max(1, Math.round(value / max * rows * LEVELS));
                line.append(cells.charAt((int) Math.max(0, Math.min(LEVELS, level - (long) row * LEVELS))));
            }
            lines.add(line.toString());
        }
        return lines;
    }
}
