// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

/**
 * Thrown when a value contradicts other settings, the kernel refuses it, or another program has changed the setting.
 *
 * @since 0.1.0
 */
public final class SettingRefusedException extends KsmSettingException {

    private static final long serialVersionUID = 1;

    SettingRefusedException(KsmSetting setting, String message) {
        super(setting, message);
    }
}
