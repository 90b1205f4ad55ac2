// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.KsmException;

/**
 * Thrown when a setting of {@code ksmd} cannot be changed. Settings that were changed in the same call have been
 * restored.
 *
 * @since 0.1.0
 */
public abstract class KsmSettingException extends KsmException {

    private static final long serialVersionUID = 1;

    /** The setting. */
    private final KsmSetting setting;

    KsmSettingException(KsmSetting setting, String message) {
        super(message);
        this.setting = setting;
    }

    /** {@return the setting that could not be changed} */
    public final KsmSetting setting() {
        return setting;
    }
}
